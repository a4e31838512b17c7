import { describe, expect, it } from "vitest";
import { sha256Hash } from "../../test/support/ports.ts";
import { sampleAccess, sampleKeyId, sampleSealed, sampleVault } from "../../test/support/row-bodies.ts";
import { encodeAccess } from "./access.ts";
import { encodeStranded } from "./aside.ts";
import { utf8 } from "./bytes.ts";
import {
  type AccessId,
  type EntryId,
  type KeyId,
  type SiteName,
  type StrandedId,
  type VaultId,
  versionIdOf,
} from "./ids.ts";
import { formatKey, hashRow, type RowKey, type StoredRow } from "./row.ts";
import type { Write } from "./store/rows.ts";
import { discardStranded, type EntryState, reapplyStranded } from "./stranded.ts";
import { decodeVault, encodeVault } from "./vault.ts";

const vaultId = "0190a0a0-0000-7000-8000-000000000001" as VaultId;
const entryId = "0190a0a0-0000-7000-8000-000000000002" as EntryId;
const otherId = "0190a0a0-0000-7000-8000-000000000003" as EntryId;
const vault: RowKey = { kind: "vault", vaultId };
const access: RowKey = {
  kind: "access",
  vaultId,
  accessId: "0190a0a0-0000-7000-8000-000000000004" as AccessId,
};
const entry: RowKey = { kind: "entry", vaultId, entryId };
const otherKeyId = "fedcba9876543210fedcba9876543210" as KeyId;

function version(number: number): RowKey & { kind: "version" } {
  return { kind: "version", vaultId, versionId: versionIdOf(entryId, number) };
}

function strandedKey(name: string): RowKey & { kind: "stranded" } {
  return { kind: "stranded", vaultId, strandedId: name as StrandedId };
}

function stored(of: RowKey, body: Uint8Array | null): StoredRow {
  const hash = hashRow(sha256Hash, body);
  const position = { epoch: 1, seq: 9 };
  return { key: of, position, hash, body, dirty: false, dirtySince: null, replicatedAt: null };
}

function stranded(key: RowKey, body: Uint8Array | null): StoredRow {
  const row = { key, position: { epoch: 1, seq: 4 }, hash: hashRow(sha256Hash, body), body };
  return stored(strandedKey("a"), encodeStranded({ row, site: "zurich" as SiteName, at: 0 }));
}

function sealed(number: number, text: string, keyId: KeyId = sampleKeyId, of: EntryId = entryId): Uint8Array {
  return sampleSealed({ vaultId, entryId: of, version: number, keyId }, text);
}

/** What a write changes, each as its key and body, where these rows are all there are. */
function changesOf(
  write: Write,
  rows: readonly StoredRow[],
): readonly (readonly [string, Uint8Array | null])[] {
  const byKey = new Map(rows.map((row) => [formatKey(row.key), row]));
  return write
    .decide(write.keys.map((key) => byKey.get(formatKey(key))))
    .map(({ key, body }) => [formatKey(key), body]);
}

const settled = [formatKey(strandedKey("a")), null] as const;
const vaultRow = stored(vault, encodeVault(sampleVault));

/** What reapplying changes where the vault is there, and these rows beside it; the code where it is refused. */
function reapply(
  key: RowKey,
  body: Uint8Array | null,
  rows: readonly StoredRow[],
  state?: EntryState,
): unknown {
  const write = reapplyStranded(strandedKey("a"), key, state);
  try {
    return changesOf(write, [vaultRow, ...rows, stranded(key, body)]);
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

describe("reapplying a stranded row", () => {
  it("is refused where there is none, or it was settled, or what was kept cannot be read", () => {
    const write = reapplyStranded(strandedKey("a"), vault);
    const codes = [[], [stored(strandedKey("a"), null)], [stored(strandedKey("a"), utf8("?"))]].map(
      (rows) => {
        try {
          return changesOf(write, rows);
        } catch (error) {
          return (error as { code?: string }).code;
        }
      },
    );
    expect(codes).toEqual(["stranded_unknown", "stranded_unknown", "stranded_unreadable"]);
  });

  it("never brings back what was purged since", () => {
    const bodies = new Map<RowKey, Uint8Array>([
      [vault, encodeVault(sampleVault)],
      [access, encodeAccess(sampleAccess)],
      [entry, sealed(3, "then")],
      [version(1), sealed(1, "then")],
    ]);
    const state = { position: { epoch: 1, seq: 9 }, versions: [] };
    for (const [key, body] of bodies) {
      const rows = key.kind === "version" ? [stored(entry, sealed(9, "now"))] : [];
      expect(reapply(key, body, [...rows, stored(key, null)], state)).toBe("reapply_refused");
    }
  });

  it("may purge: an entry with all that it was before", () => {
    expect(reapply(access, null, [stored(access, encodeAccess(sampleAccess))])).toEqual([
      [formatKey(access), null],
      settled,
    ]);
    const rows = [stored(entry, sealed(3, "now")), stored(version(2), sealed(2, "x"))];
    expect(reapply(entry, null, rows, { position: { epoch: 1, seq: 9 }, versions: [2] })).toEqual([
      [formatKey(version(2)), null],
      [formatKey(entry), null],
      settled,
    ]);
  });
});

describe("reapplying a stranded vault", () => {
  const elsewhere = { ...sampleVault, name: "Work", keyId: otherKeyId };

  it("takes over the name alone where the vault is there: its rows are sealed under its own keys", () => {
    const changes = reapply(vault, encodeVault(elsewhere), []) as [string, Uint8Array][];
    expect(changes[1]).toEqual(settled);
    expect(changes[0]?.[1] && decodeVault(changes[0][1])).toEqual({ ...sampleVault, name: "Work" });
  });

  it("makes the whole row again where it is not", () => {
    const write = reapplyStranded(strandedKey("a"), vault);
    const body = encodeVault(elsewhere);
    expect(changesOf(write, [stranded(vault, body)])).toEqual([[formatKey(vault), body], settled]);
  });
});

describe("reapplying a stranded access", () => {
  it("makes it again where it opens the vault's key of today, and is refused where it opens another", () => {
    const body = encodeAccess(sampleAccess);
    expect(reapply(access, body, [])).toEqual([[formatKey(access), body], settled]);
    const older = encodeAccess({ ...sampleAccess, slot: { ...sampleAccess.slot, keyId: otherKeyId } });
    expect(reapply(access, older, [])).toBe("reapply_refused");
    expect(reapply(access, utf8("?"), [])).toBe("stranded_unreadable");
  });

  it("is refused where its vault is not there", () => {
    const write = reapplyStranded(strandedKey("a"), access);
    const rows = [stranded(access, encodeAccess(sampleAccess))];
    for (const more of [[], [stored(vault, null)]])
      expect(() => changesOf(write, [...rows, ...more])).toThrow(
        expect.objectContaining({ code: "reapply_refused" }),
      );
  });
});

describe("reapplying a stranded entry", () => {
  const now = stored(entry, sealed(2, "now"));
  const at = (versions: readonly number[] = []): EntryState => ({ position: now.position, versions });

  it("makes it again where it is newer than all that is there, and what it displaces is an earlier version", () => {
    const body = sealed(3, "then");
    expect(reapply(entry, body, [], { position: null, versions: [] })).toEqual([
      [formatKey(entry), body],
      settled,
    ]);
    expect(reapply(entry, body, [now, stored(version(1), sealed(1, "x"))], at([1]))).toEqual([
      [formatKey(version(2)), now.body],
      [formatKey(entry), body],
      settled,
    ]);
  });

  it("is refused where the entry, or anything that it was before, is as new", () => {
    expect(reapply(entry, sealed(2, "then"), [now], at())).toBe("reapply_refused");
    const history = stored(version(3), sealed(3, "x"));
    expect(reapply(entry, sealed(3, "then"), [now, history], at([3]))).toBe("reapply_refused");
  });

  it("takes what is sealed under an older key of the vault, and nothing that is sealed under another", () => {
    const body = sealed(3, "then", otherKeyId);
    expect(reapply(entry, body, [now], at())).toBe("reapply_refused");
    const older = [{ keyId: otherKeyId, sealed: new Uint8Array(60), lastPosition: null }];
    const write = reapplyStranded(strandedKey("a"), entry, at());
    const rows = [stored(vault, encodeVault({ ...sampleVault, older })), now, stranded(entry, body)];
    expect(changesOf(write, rows)).toHaveLength(3);
  });

  it("is refused for a body that is not sealed, or that belongs to another entry, and over one that cannot be read", () => {
    expect(reapply(entry, utf8("then"), [now], at())).toBe("reapply_refused");
    expect(reapply(entry, sealed(3, "then", sampleKeyId, otherId), [now], at())).toBe("reapply_refused");
    expect(reapply(entry, sealed(3, "then"), [stored(entry, utf8("now"))], at())).toBe("reapply_refused");
  });

  it("is decided anew where the entry has moved on since the caller looked", () => {
    for (const state of [
      { position: null, versions: [] },
      { position: { epoch: 1, seq: 8 }, versions: [] },
    ])
      expect(reapply(entry, sealed(3, "then"), [now], state)).toBe("write_raced");
    expect(reapply(entry, sealed(3, "then"), [], at())).toBe("write_raced");
  });
});

describe("reapplying a stranded version", () => {
  const now = stored(entry, sealed(3, "now"));
  const body = sealed(2, "then");

  it("makes it an earlier version of an entry that is there and above it", () => {
    expect(reapply(version(2), body, [now])).toEqual([[formatKey(version(2)), body], settled]);
  });

  it("is refused where the entry has a version of that number, or is not there", () => {
    expect(reapply(version(2), body, [now, stored(version(2), sealed(2, "x"))])).toBe("reapply_refused");
    for (const rows of [[], [stored(entry, null)]])
      expect(reapply(version(2), body, rows)).toBe("reapply_refused");
  });

  it("is refused where the entry has not come so far: it would look older than its history", () => {
    for (const number of [1, 2])
      expect(reapply(version(2), body, [stored(entry, sealed(number, "now"))])).toBe("reapply_refused");
  });

  it("is refused where what is sealed is another entry or version, or under an unknown key", () => {
    const others = [
      sealed(1, "then"),
      sealed(2, "then", sampleKeyId, otherId),
      sealed(2, "then", otherKeyId),
    ];
    for (const other of others) expect(reapply(version(2), other, [now])).toBe("reapply_refused");
  });
});

describe("discarding stranded rows", () => {
  const keys = [strandedKey("a"), strandedKey("b")];
  const discard = discardStranded(keys);

  it("settles all of them and touches nothing else", () => {
    expect(discard.keys).toEqual(keys);
    const live = keys.map((of) => stored(of, utf8("x")));
    expect(discard.decide(live)).toEqual(keys.map((of) => ({ key: of, body: null })));
  });

  it("is refused whole where one is unknown or settled already", () => {
    for (const none of [undefined, stored(strandedKey("b"), null)]) {
      expect(() => discard.decide([stored(strandedKey("a"), utf8("x")), none])).toThrow(
        expect.objectContaining({ code: "stranded_unknown" }),
      );
    }
  });
});
