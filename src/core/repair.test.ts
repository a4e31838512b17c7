import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesEqual } from "./bytes.ts";
import type { RealmId, SiteName, VaultId } from "./ids.ts";
import type { RepairCursor } from "./ports.ts";
import { comparePositions, type Point } from "./position.ts";
import type { Identity, Receiver } from "./push.ts";
import { isListedOn, judgeRepair, planRepair, type RepairPlan, type RowSummary } from "./repair.ts";
import { formatKey, type RowKey } from "./row.ts";

/** A row by a letter: at a position, with a hash of one byte. */
function row(name: string, seq: number, hash = 0, isIntact = true): RowSummary {
  const key = { kind: "vault" as const, vaultId: name as VaultId };
  return { key, position: { epoch: 1, seq }, hash: Uint8Array.of(hash), isIntact };
}

function names(plan: RepairPlan): Record<string, string> {
  const steps = Object.entries(plan).map(([step, keys]) => [
    step,
    keys.map(({ vaultId }) => vaultId).join(" "),
  ]);
  return Object.fromEntries(steps.filter(([, list]) => list !== "")) as Record<string, string>;
}

const acked = { epoch: 1, seq: 50 };
const plan = (own: RowSummary[], theirs: RowSummary[], quarantined: readonly string[] = []): object =>
  names(planRepair({ own, theirs, acked, quarantined: new Set(quarantined) }));

describe("a repair's plan", () => {
  it("moves nothing where both hold the same", () => {
    expect(plan([row("a", 1), row("b", 2)], [row("b", 2), row("a", 1)])).toEqual({});
  });

  it("ships what the backup lacks, or has in another state, older or newer", () => {
    const own = [row("lacks", 1), row("older", 5), row("newer", 5), row("other", 5, 1)];
    expect(plan(own, [row("older", 4), row("newer", 6), row("other", 5, 2)])).toEqual({
      ship: "lacks older newer other",
    });
  });

  it("removes what only the backup has", () => {
    expect(plan([row("a", 1)], [row("a", 1), row("b", 2), row("damaged", 3, 0, false)])).toEqual({
      remove: "b damaged",
    });
  });

  it("ships over a damaged row, and never ships one", () => {
    expect(plan([row("a", 1)], [row("a", 1, 0, false)])).toEqual({ ship: "a" });
    expect(plan([row("a", 1, 0, false)], [row("a", 1)])).toEqual({ fetch: "a" });
    expect(plan([row("a", 1, 7, false)], [row("a", 1, 9)])).toEqual({ fetch: "a" });
  });

  it("gives up only what nobody has intact at that position", () => {
    const own = [row("both", 1, 0, false), row("lacks", 1, 0, false), row("older", 2, 0, false)];
    expect(plan(own, [row("both", 1, 0, false), row("older", 1)])).toEqual({ hopeless: "both lacks older" });
  });

  it("leaves what lies above acked to the drain, and what the backup refuses to quarantine", () => {
    const own = [row("above", 51), row("changed", 60), row("refused", 4)];
    expect(plan(own, [row("changed", 3)], [formatKey(row("refused", 4).key)])).toEqual({});
  });

  it("carried out makes the backup equal, but for what is left to others or lost to both", () => {
    const summary = fc.record({
      name: fc.constantFrom("a", "b", "c", "d", "e"),
      seq: fc.integer({ min: 48, max: 52 }),
      hash: fc.nat(1),
      isIntact: fc.boolean(),
    });
    const side = fc
      .uniqueArray(summary, { selector: ({ name }) => name })
      .map((list) => list.map(({ name, seq, hash, isIntact }) => row(name, seq, hash, isIntact)));
    fc.assert(
      fc.property(side, side, (own, theirs) => {
        const { ship, remove, fetch, hopeless } = planRepair({ own, theirs, acked, quarantined: new Set() });
        const [primary, backup] = [own, theirs].map(
          (rows) => new Map(rows.map((one) => [formatKey(one.key), one])),
        );
        if (!primary || !backup) throw new Error("two sides");
        for (const key of fetch) primary.set(formatKey(key), backup.get(formatKey(key)) as RowSummary);
        for (const key of ship) backup.set(formatKey(key), primary.get(formatKey(key)) as RowSummary);
        for (const key of remove) backup.delete(formatKey(key));
        const given = new Set(hopeless.map(formatKey));
        for (const [name, one] of primary) {
          if (given.has(name) || comparePositions(one.position, acked) > 0) continue;
          const other = backup.get(name);
          expect([one.isIntact, other?.isIntact, other?.position]).toEqual([true, true, one.position]);
          expect(bytesEqual(one.hash, other?.hash ?? new Uint8Array())).toBe(true);
        }
        expect([...backup.keys()].filter((name) => !primary.has(name))).toEqual([]);
      }),
    );
  });
});

describe("a step of a repair", () => {
  const realm = "realm" as RealmId;
  const point = (seq: number): Point => ({ position: { epoch: 2, seq }, chain: new Uint8Array(32) });
  const epoch = { number: 2, id: "b" };
  const from: Identity = { site: "calgary" as SiteName, realm, role: "primary", epoch, applied: point(9) };
  const receiver: Receiver = {
    site: "zurich" as SiteName,
    realm,
    role: "backup",
    epoch,
    applied: point(9),
    timeline: [],
  };
  const judge = (changes: Partial<Receiver>, said: Partial<Identity> = {}, at = point(9), followed = epoch) =>
    judgeRepair({ ...receiver, ...changes }, followed, { from: { ...from, ...said }, at });

  it("may happen where both stand as the sender believes", () => {
    expect(judge({})).toBeUndefined();
  });

  it("is refused for what stands first in the order of a push's checks", () => {
    const realmless = { realm: null };
    const primary = { role: "primary" as const };
    const [lower, higher] = [{ epoch: { number: 2, id: "a" } }, { epoch: { number: 2, id: "c" } }];
    expect(judge({ ...realmless, ...primary }, lower, point(8))).toBe("other_realm");
    expect(judge({ realm: "another" as RealmId, ...primary }, lower)).toBe("other_realm");
    expect(judge(realmless, realmless)).toBe("other_realm");
    const timeline = [{ epoch: lower.epoch, site: "geneva" as SiteName, from: point(1) }];
    expect(judge({ ...primary, timeline }, lower, point(8))).toBe("other_primary");
    expect(judge(primary, lower, point(8))).toBe("stale_epoch");
    expect(judge(primary, higher, point(8))).toBe("not_a_backup");
    expect(judge({}, higher)).toBe("resume");
    expect(judge({}, {}, point(9), { number: 1, id: "z" })).toBe("resume");
    expect(judge({}, {}, point(8))).toBe("resume");
    expect(judge({}, {}, { ...point(9), chain: new Uint8Array(32).fill(1) })).toBe("resume");
  });
});

describe("a listing goes on", () => {
  const vault = (vaultId: string) => ({ kind: "vault", vaultId }) as const as RowKey;
  const entry = (vaultId: string, entryId: string) => ({ kind: "entry", vaultId, entryId }) as RowKey;
  const at = (bucket: number, key: RowKey): RepairCursor => ({ bucket, key });
  const buckets = [9, 2, 100];
  const rows = [row("a", 1)];

  it("only upwards: by bucket as a number, then by kind as rows are listed, then by key", () => {
    const cursors = [
      at(2, vault("b")),
      at(2, vault("c")),
      at(2, entry("a", "a")),
      at(2, entry("a", "b")),
      at(9, vault("a")),
      at(100, vault("a")),
    ];
    for (const [index, next] of cursors.entries()) {
      const goesOn = cursors.map((after) => isListedOn({ buckets, after }, { rows, next }));
      expect(goesOn).toEqual(cursors.map((_, other) => other < index));
      expect(isListedOn({ buckets, after: null }, { rows, next })).toBe(true);
    }
  });

  it("not in a bucket that nobody asked for, nor behind a page without rows", () => {
    const after = at(2, vault("b"));
    expect(isListedOn({ buckets, after }, { rows, next: at(3, vault("c")) })).toBe(false);
    expect(isListedOn({ buckets, after }, { rows: [], next: at(9, vault("c")) })).toBe(false);
  });

  it("or ends, wherever it is", () => {
    for (const page of [
      { rows, next: null },
      { rows: [], next: null },
    ]) {
      expect(isListedOn({ buckets, after: null }, page)).toBe(true);
    }
  });
});
