import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256Hash as hash } from "../../test/support/ports.ts";
import {
  actorKinds,
  type AuditRecord,
  beginAction,
  chainStart,
  decodeBeginning,
  encodeBeginning,
  nextRecord,
  walkChain,
} from "./audit.ts";
import type { ChainId, SiteName } from "./ids.ts";

const chain = "0193a5d0-0000-4000-8000-000000000001" as ChainId;
const text = fc.string({ unit: "grapheme-ascii", maxLength: 64 });
const optional = fc.option(text, { nil: null });

const event = fc.record({
  actor: fc.record({ kind: fc.constantFrom(...actorKinds), id: optional }),
  action: text.filter((action) => action !== beginAction),
  vaultId: optional,
  itemId: optional,
  address: optional,
  result: text,
  at: fc.nat(),
  details: fc.option(fc.uint8Array({ maxLength: 64 }), { nil: null }),
});

const chains = fc.array(event, { minLength: 2, maxLength: 12 }).map((events) => {
  const records: AuditRecord[] = [];
  for (const [index, one] of events.entries()) {
    const before = records.at(-1) ?? { chain, ...chainStart };
    records.push(nextRecord(hash, before, index === 0 ? { ...one, action: beginAction } : one));
  }
  return records;
});
const where = fc.nat();

/** Every member of a record but its hash, changed. */
function changesOf(record: AuditRecord): readonly AuditRecord[] {
  const { actor, at, details, chain: own } = record;
  const texts = ["action", "vaultId", "itemId", "address", "result"] as const;
  return [
    ...texts.map((name) => ({ ...record, [name]: `${record[name] ?? ""}x` })),
    // A null is no empty text, and no byte wanders from one field into the next.
    { ...record, vaultId: record.vaultId === null ? "" : null },
    { ...record, action: `${record.action}${record.vaultId ?? ""}y`, vaultId: "" },
    { ...record, actor: { ...actor, id: `${actor.id ?? ""}x` } },
    { ...record, actor: { ...actor, kind: actor.kind === "peer" ? "anyone" : "peer" } },
    { ...record, at: at + 1 },
    { ...record, details: details === null ? new Uint8Array(0) : null },
    { ...record, chain: own.replace(/^0/, "1") as ChainId },
  ];
}

describe("a chain of records", () => {
  it("is whole as it was made, from its start and from any place in it", () => {
    fc.assert(
      fc.property(chains, where, (records, at) => {
        const end = records.at(-1);
        expect(walkChain(hash, chainStart, records)).toMatchObject({
          kind: "whole",
          end: { seq: end?.seq, hash: end?.hash },
        });
        const from = records[at % records.length] ?? chainStart;
        expect(walkChain(hash, from, records.slice(from.seq)).kind).toBe("whole");
      }),
    );
  });

  it("shows any record that was changed, also where its own hash was made to fit", () => {
    fc.assert(
      fc.property(chains, where, (records, at) => {
        const index = at % records.length;
        const record = records[index];
        if (!record) throw new Error("nothing to change");
        for (const changed of changesOf(record)) {
          const found = walkChain(hash, chainStart, records.with(index, changed));
          expect(found).toEqual({ kind: "broken", seq: index + 1 });
          if (index === 0 || index === records.length - 1 || changed.chain !== chain) continue;
          const refitted = nextRecord(hash, records[index - 1] ?? { chain, ...chainStart }, changed);
          const refit = walkChain(hash, chainStart, records.with(index, refitted));
          expect(refit.kind).toBe("broken");
        }
      }),
      { numRuns: 50 },
    );
  });

  it("shows what was dropped, swapped or added in the middle, and where", () => {
    fc.assert(
      fc.property(chains, where, event, (records, at, other) => {
        const index = at % (records.length - 1);
        const broken = { kind: "broken", seq: index + 1 };
        expect(walkChain(hash, chainStart, records.toSpliced(index, 1))).toEqual(broken);
        const pair = records.slice(index, index + 2).toReversed();
        expect(walkChain(hash, chainStart, records.toSpliced(index, 2, ...pair))).toEqual(broken);
        const before = records[index] ?? { chain, ...chainStart };
        const added = nextRecord(hash, before, other);
        const longer = records.toSpliced(index + 1, 0, added);
        expect(walkChain(hash, chainStart, longer)).toEqual({ kind: "broken", seq: index + 3 });
      }),
    );
  });

  it("says in its first record whose it is and where all others stood", () => {
    const known = fc.record({
      chain: fc.uuid().map((id) => id as ChainId),
      site: fc.constantFrom("calgary", "zurich").map((site) => site as SiteName),
      head: fc.record({ seq: fc.nat(), hash: fc.uint8Array({ minLength: 32, maxLength: 32 }) }),
    });
    fc.assert(
      fc.property(fc.array(known, { maxLength: 5 }), fc.nat(), (heads, cut) => {
        const beginning = { site: "oslo" as SiteName, known: heads };
        const bytes = encodeBeginning(beginning);
        expect(decodeBeginning(bytes)).toEqual(beginning);
        expect(decodeBeginning(bytes.slice(0, cut % bytes.length))).toBeUndefined();
      }),
    );
  });
});
