import { describe, expect, it } from "vitest";
import { sha256Hash } from "../../test/support/ports.ts";
import { encodeStranded } from "./aside.ts";
import { utf8 } from "./bytes.ts";
import type { SiteName, StrandedId, VaultId } from "./ids.ts";
import { hashRow, type RowKey, type StoredRow } from "./row.ts";
import { discardStranded, reapplyStranded } from "./stranded.ts";

const vaultId = "0190a0a0-0000-7000-8000-000000000001" as VaultId;
const key: RowKey = { kind: "vault", vaultId };

function strandedKey(name: string): RowKey & { kind: "stranded" } {
  return { kind: "stranded", vaultId, strandedId: name as StrandedId };
}

function stored(of: RowKey, body: Uint8Array | null): StoredRow {
  const hash = hashRow(sha256Hash, body);
  const position = { epoch: 1, seq: 9 };
  return { key: of, position, hash, body, dirty: false, dirtySince: null, replicatedAt: null };
}

function stranded(body: Uint8Array | null): StoredRow {
  const row = { key, position: { epoch: 1, seq: 4 }, hash: hashRow(sha256Hash, body), body };
  return stored(strandedKey("a"), encodeStranded({ row, site: "zurich" as SiteName, at: 0 }));
}

describe("reapplying a stranded row", () => {
  const reapply = reapplyStranded(strandedKey("a"), key);

  it("makes it the row of its key again, and settles it, in one write", () => {
    expect(reapply.keys).toEqual([strandedKey("a"), key]);
    for (const current of [undefined, stored(key, utf8("now"))]) {
      expect(reapply.decide([stranded(utf8("then")), current])).toEqual([
        { key, body: utf8("then") },
        { key: strandedKey("a"), body: null },
      ]);
    }
  });

  it("never brings back what was purged since, but may purge", () => {
    const purged = stored(key, null);
    expect(() => reapply.decide([stranded(utf8("then")), purged])).toThrow(
      expect.objectContaining({ code: "reapply_refused" }),
    );
    for (const current of [purged, stored(key, utf8("now"))]) {
      expect(reapply.decide([stranded(null), current])[0]).toEqual({ key, body: null });
    }
  });

  it("is refused where what was kept cannot be read", () => {
    expect(() => reapply.decide([stored(strandedKey("a"), utf8("?")), undefined])).toThrow(
      expect.objectContaining({ code: "stranded_unreadable" }),
    );
  });

  it("is refused where there is none, or it was settled", () => {
    for (const none of [undefined, stored(strandedKey("a"), null)]) {
      expect(() => reapply.decide([none, undefined])).toThrow(
        expect.objectContaining({ code: "stranded_unknown" }),
      );
    }
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
