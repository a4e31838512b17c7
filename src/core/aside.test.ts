import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256Hash } from "../../test/support/ports.ts";
import {
  type AsideEvidence,
  type AsideRow,
  decodeStranded,
  encodeStranded,
  judgeAside,
  parseStranded,
  strandedIdOf,
  strandedKeyOf,
} from "./aside.ts";
import { utf8 } from "./bytes.ts";
import {
  type AccessId,
  type EntryId,
  isUuid,
  type SiteName,
  type StrandedId,
  type VaultId,
  versionIdOf,
} from "./ids.ts";
import type { Position } from "./position.ts";
import { hashRow, type Row, rowBodyBytesMaxOf, type RowKey } from "./row.ts";

const zurich = "zurich" as SiteName;
const vaultId = "0190a0a0-0000-7000-8000-000000000001" as VaultId;
const entryId = "0190a0a0-0000-7000-8000-000000000002" as EntryId;
const accessId = "0190a0a0-0000-7000-8000-000000000003" as AccessId;
const strandedId = "0190a0a0-0000-8000-8000-000000000004" as StrandedId;
const key: RowKey = { kind: "entry", vaultId, entryId };
const strandedKey: RowKey = { kind: "stranded", vaultId, strandedId };

function rowAt(seq: number, text: string | null, of: RowKey = key): Row {
  const body = text === null ? null : utf8(text);
  return { key: of, position: { epoch: 1, seq }, hash: hashRow(sha256Hash, body), body };
}

/** Put aside by a site that had gone the winner's way up to 1:5. */
function aside(row: Row, fork: Position = { epoch: 1, seq: 5 }): AsideRow {
  return { ...row, id: strandedIdOf(sha256Hash, row), fork, site: zurich, at: 0 };
}

const nothing: AsideEvidence = {
  own: undefined,
  isInHistory: false,
  isKnown: false,
  isHeld: false,
  isEntryPurged: false,
};

describe("a row that was put aside", () => {
  const row = aside(rowAt(9, "x"));
  const verdict = (evidence: Partial<AsideEvidence>, of: AsideRow = row): string =>
    judgeAside(of, { ...nothing, ...evidence });

  it("is stranded where nothing is known of it", () => {
    expect(verdict({})).toBe("stranded");
    expect(verdict({ own: rowAt(4, "older") })).toBe("stranded");
    expect(verdict({ own: rowAt(12, "newer, of another history") })).toBe("stranded");
    expect(verdict({ own: rowAt(9, "other") })).toBe("stranded");
    expect(verdict({ own: rowAt(12, null) })).toBe("stranded");
  });

  it("is struck where the very row is here, at its position", () => {
    expect(verdict({ own: rowAt(9, "x") })).toBe("struck");
    expect(verdict({ own: rowAt(10, "x") })).toBe("stranded");
  });

  it("is struck where the history went through it and what came of it is here", () => {
    expect(verdict({ isInHistory: true, own: rowAt(9, "changed in place") })).toBe("struck");
    expect(verdict({ isInHistory: true, own: rowAt(12, "later") })).toBe("struck");
    expect(verdict({ isInHistory: true, own: rowAt(12, null) })).toBe("struck");
  });

  it("is not struck by a site whose history went through it, but who never got it", () => {
    expect(verdict({ isInHistory: true })).toBe("stranded");
    expect(verdict({ isInHistory: true, own: rowAt(8, "older") })).toBe("stranded");
  });

  it("is struck where it was stranded before", () => {
    expect(verdict({ isKnown: true })).toBe("struck");
  });
});

describe("a tombstone that was put aside", () => {
  const verdict = (evidence: Partial<AsideEvidence>): string =>
    judgeAside(aside(rowAt(9, null)), { ...nothing, ...evidence });

  it("is made again where the row stands as it was before the sites parted, or is not known", () => {
    expect(verdict({})).toBe("applied");
    expect(verdict({ own: rowAt(5, "before") })).toBe("applied");
  });

  it("is stranded where the row was changed since", () => {
    expect(verdict({ own: rowAt(6, "after") })).toBe("stranded");
    expect(verdict({ own: { ...rowAt(1, "of a new reign"), position: { epoch: 2, seq: 1 } } })).toBe(
      "stranded",
    );
  });

  it("is struck where the row is purged already, whenever it was", () => {
    expect(verdict({ own: rowAt(2, null) })).toBe("struck");
    expect(verdict({ own: rowAt(20, null) })).toBe("struck");
  });

  it("is struck where the history went through it, though the row was made anew", () => {
    expect(verdict({ isInHistory: true, own: rowAt(20, "anew") })).toBe("struck");
  });
});

describe("a stranded row that was put aside", () => {
  const verdict = (text: string | null, own?: Row): string =>
    judgeAside(aside(rowAt(9, text, strandedKey)), { ...nothing, own });

  it("is stranded where there is none of its name, and struck where there is, settled or not", () => {
    expect(verdict("x")).toBe("stranded");
    expect(verdict("x", rowAt(20, "x", strandedKey))).toBe("struck");
    expect(verdict("x", rowAt(20, null, strandedKey))).toBe("struck");
  });

  it("that was settled is settled, whenever the one that is here was written", () => {
    expect(verdict(null)).toBe("applied");
    expect(verdict(null, rowAt(3, "x", strandedKey))).toBe("applied");
    expect(verdict(null, rowAt(20, "x", strandedKey))).toBe("applied");
    expect(verdict(null, rowAt(20, null, strandedKey))).toBe("struck");
  });

  it("keeps its name and key, and any other gets the name of its identity", () => {
    const row = rowAt(9, "x", strandedKey);
    expect(strandedIdOf(sha256Hash, row)).toBe(strandedId);
    expect(strandedKeyOf(aside(row))).toEqual(strandedKey);
    const other = aside(rowAt(9, "x"));
    expect(strandedKeyOf(other)).toEqual({ kind: "stranded", vaultId, strandedId: other.id });
  });
});

describe("an earlier version that was put aside", () => {
  const versionKey: RowKey = { kind: "version", vaultId, versionId: versionIdOf(entryId, 3) };
  const verdict = (text: string | null, evidence: Partial<AsideEvidence>): string =>
    judgeAside(aside(rowAt(9, text, versionKey)), { ...nothing, ...evidence });

  it("is stranded where nothing is known of it, also where its number was given to something else", () => {
    expect(verdict("x", {})).toBe("stranded");
    expect(verdict("x", { own: rowAt(4, "other", versionKey) })).toBe("stranded");
    expect(verdict("x", { own: rowAt(12, null, versionKey) })).toBe("stranded");
  });

  it("is struck where the entry has or had that very body here, or the history went through it", () => {
    expect(verdict("x", { isHeld: true })).toBe("struck");
    expect(verdict("x", { isHeld: true, own: rowAt(4, "other", versionKey) })).toBe("struck");
    expect(verdict("x", { isInHistory: true, own: rowAt(12, null, versionKey) })).toBe("struck");
  });

  it("is struck where its entry is purged: what is purged never comes back", () => {
    expect(verdict("x", { isEntryPurged: true })).toBe("struck");
  });

  it("that is a tombstone is made again only with its entry's purge: what one site keeps no more, another may", () => {
    const own = rowAt(4, "x", versionKey);
    expect(verdict(null, {})).toBe("struck");
    expect(verdict(null, { own })).toBe("struck");
    expect(verdict(null, { own: rowAt(8, "since", versionKey) })).toBe("struck");
    expect(verdict(null, { own, isEntryPurged: true })).toBe("applied");
    expect(verdict(null, { own: rowAt(4, null, versionKey), isEntryPurged: true })).toBe("struck");
  });
});

describe("an identity", () => {
  it("is key, position and hash: the same on every site, and another for any other row", () => {
    const id = strandedIdOf(sha256Hash, rowAt(9, "x"));
    expect(isUuid(id)).toBe(true);
    expect(id).toBe("adabfbc0-8af4-8d6d-acaf-d02ebf7a4e50");
    const others = [
      rowAt(8, "x"),
      rowAt(9, "y"),
      rowAt(9, null),
      rowAt(9, "x", { kind: "access", vaultId, accessId }),
      { ...rowAt(9, "x"), position: { epoch: 2, seq: 9 } },
    ];
    const ids = new Set([id, ...others.map((row) => strandedIdOf(sha256Hash, row))]);
    expect(ids.size).toBe(others.length + 1);
  });
});

describe("what a stranded row holds", () => {
  const latest = Date.UTC(275_760, 8, 13);

  it("is what was put in: the row with its body or without, its site and time", () => {
    const anyKey = fc.constantFrom<RowKey>(
      key,
      { kind: "vault", vaultId },
      { kind: "access", vaultId, accessId },
      { kind: "version", vaultId, versionId: versionIdOf(entryId, 12) },
    );
    const position = fc.record({ epoch: fc.maxSafeNat(), seq: fc.maxSafeNat() });
    const body = fc.option(fc.uint8Array());
    fc.assert(
      fc.property(anyKey, position, body, fc.nat(latest), (of, at, bytes, time) => {
        const row = { key: of, position: at, hash: hashRow(sha256Hash, bytes), body: bytes };
        const stranded = { row, site: zurich, at: time };
        expect(decodeStranded(encodeStranded(stranded))).toEqual(stranded);
      }),
    );
  });

  it("has room for any row that may be stranded, whatever it is called and wherever it lay", () => {
    const position = { epoch: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };
    const body = new Uint8Array(rowBodyBytesMaxOf("access")).fill(0xff);
    const row = {
      key: { kind: "access", vaultId, accessId } as const,
      position,
      hash: new Uint8Array(32),
      body,
    };
    const encoded = encodeStranded({ row, site: `s${"-".repeat(62)}` as SiteName, at: latest });
    expect(encoded.length).toBeLessThanOrEqual(rowBodyBytesMaxOf("stranded"));
  });

  it("is nothing where it cannot be read, and no other row could be taken for it", () => {
    const stranded = { row: rowAt(1, "x"), site: zurich, at: 0 };
    const [line = ""] = new TextDecoder().decode(encodeStranded(stranded)).split("\n");
    const fields = JSON.parse(line) as Record<string, unknown>;
    const encoded = (changes: object, kept = "x"): Uint8Array =>
      utf8(`${JSON.stringify({ ...fields, ...changes })}\n${kept}`);
    expect(parseStranded(encoded({}))).toEqual(stranded);
    const broken = [
      { position: "nowhere" },
      { hash: "ff" },
      { deleted: true },
      { deleted: 0 },
      { site: "No Site" },
      { at: -1 },
      { at: latest + 1 },
      { at: "0" },
      { key: null },
      { key: { kind: "vault" } },
      { key: { ...key, entryId: "../x" } },
      { key: { kind: "access", vaultId } },
      { key: strandedKey },
      { key: { kind: "hologram", vaultId } },
    ];
    const bodies = [
      ...broken.map((changes) => encoded(changes)),
      utf8(line),
      utf8("no json\nx"),
      utf8("null\n"),
    ];
    for (const body of [...bodies, utf8(""), Uint8Array.of(0xff, 10)]) {
      expect(parseStranded(body)).toBeUndefined();
      expect(() => decodeStranded(body)).toThrow(expect.objectContaining({ code: "stranded_unreadable" }));
    }
  });
});
