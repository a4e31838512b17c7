import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import type { RealmId } from "../../src/core/ids.ts";
import { origin, type Point, type Position } from "../../src/core/position.ts";
import type { Push } from "../../src/core/push.ts";
import { hashRow, type Row, rowBodyBytesMax } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import {
  allRows,
  batch,
  calgary,
  drain,
  expectApplied,
  fill,
  geneva,
  newEntry,
  newVault,
  pushOf,
  putAll,
  type StoreUnderTest,
  set,
  shared,
  zurich,
} from "./store-harness.ts";

const start = { epoch: 0, seq: 0 };

/** What a backup does with a push. */
export function backupContract({ open, reopen }: StoreUnderTest): void {
  const pair = async (): Promise<{ primary: Store; backup: Store; clock: VirtualClock }> => {
    const clock = new VirtualClock();
    const primary = await open({ site: calgary, role: "primary", clock });
    await primary.transact((tx) => tx.replication.configurePeers([zurich]));
    return { primary, backup: await open({ site: zurich, role: "backup", clock }), clock };
  };

  describe("a push", () => {
    it("fills an empty backup, which takes over realm, epoch, timeline and the primary's address", async () => {
      const { primary, backup, clock } = await pair();
      await fill(primary, 3);
      expect(await drain(primary, backup)).toBe(1);
      const [from, to] = [
        await primary.read((r) => r.site.record()),
        await backup.read((r) => r.site.record()),
      ];
      expect(to).toMatchObject({
        realm: from.realm,
        epoch: from.epoch,
        epochSeen: from.epoch,
        head: from.head,
      });
      expect(to.primary).toEqual({ site: calgary, url: "https://calgary.example", lastPushAt: clock.now() });
      expect(await backup.read((r) => r.site.timeline())).toEqual(
        await primary.read((r) => r.site.timeline()),
      );
      expect(shared(await allRows(backup))).toEqual(shared(await allRows(primary)));
    });

    it("is counted: what was new, what was here already", async () => {
      const { primary, backup } = await pair();
      const { keys } = await fill(primary, 3);
      await drain(primary, backup);
      await set(primary, keys[0] ?? newVault(), "changed");
      const { head } = await backup.read((r) => r.site.record());
      const push = await pushOf(
        primary,
        await primary.read((r) => r.replication.listAbove(head.position, batch)),
      );
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)))).toMatchObject({
        accepted: 1,
        ignored: 1,
        rejected: [],
      });
    });

    it("marks nothing dirty on a backup", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 2);
      await drain(primary, backup);
      const rows = await allRows(backup);
      expect(rows.map(({ dirty, dirtySince }) => [dirty, dirtySince])).toEqual(rows.map(() => [false, null]));
    });

    it("is still applied when the store is opened again", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 2);
      await drain(primary, backup);
      const site = await backup.read((r) => r.site.record());
      const again = await reopen(backup);
      expect(await again.read((r) => r.site.record())).toEqual(site);
      expect(shared(await allRows(again))).toEqual(shared(await allRows(primary)));
    });

    it("of hundreds of rows in one request is applied whole", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 450);
      expect(await drain(primary, backup, { rows: 1_000, bytes: 2 ** 30 })).toBe(1);
      expect((await backup.read((r) => r.rows.vaults()))[0]?.entries).toBe(450);
    });

    it("may hold a row above its end, which a later push does not apply twice", async () => {
      const { primary, backup } = await pair();
      const { vault } = await fill(primary, 4);
      await set(primary, vault, "renamed");
      const first = await primary.read((r) => r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }));
      const push = await pushOf(primary, first);
      await backup.transact((tx) => tx.replication.applyPush(push));
      expect((await backup.read((r) => r.rows.row(vault)))?.body).toEqual(utf8("renamed"));
      expect((await backup.read((r) => r.site.record())).head).toEqual(first.through);
      await drain(primary, backup);
      expect(shared(await allRows(backup))).toEqual(shared(await allRows(primary)));
    });

    it("without rows moves the watermark", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 1);
      const listing = await primary.read((r) => r.replication.listAbove(start, batch));
      const push = await pushOf(primary, { ...listing, rows: [] });
      await backup.transact((tx) => tx.replication.applyPush(push));
      expect((await backup.read((r) => r.site.record())).head).toEqual(listing.through);
    });

    it("carries tombstones, also of rows that were never pushed", async () => {
      const { primary, backup } = await pair();
      const { vault } = await fill(primary, 1);
      const purged = newEntry(vault.vaultId);
      await set(primary, purged, "secret");
      await set(primary, purged, null);
      await drain(primary, backup);
      expect((await backup.read((r) => r.rows.row(purged)))?.body).toBeNull();
    });
  });

  describe("one bad row", () => {
    const outcomeWith = async (spoil: (row: Row) => Row) => {
      const { primary, backup } = await pair();
      const { keys } = await fill(primary, 99);
      const listing = await primary.read((r) => r.replication.listAbove(start, batch));
      const push = await pushOf(primary, listing);
      const bad = keys[50];
      const rows = listing.rows.map((row) => ({
        kind: "row" as const,
        row:
          bad?.kind === "entry" && row.key.kind === "entry" && row.key.entryId === bad.entryId
            ? spoil(row)
            : row,
      }));
      return {
        backup,
        bad,
        listing,
        outcome: expectApplied(await backup.transact((tx) => tx.replication.applyPush({ ...push, rows }))),
      };
    };

    it("whose hash is wrong is refused alone", async () => {
      const { backup, bad, listing, outcome } = await outcomeWith((row) => ({
        ...row,
        body: utf8("forged"),
      }));
      const position = { epoch: 1, seq: 52 };
      const key = bad?.kind === "entry" ? { vault_id: bad.vaultId, entry_id: bad.entryId } : {};
      expect(outcome.rejected).toEqual([{ key: { kind: "entry", key }, position, code: "row_hash_wrong" }]);
      expect(outcome.accepted).toBe(99);
      expect(bad && (await backup.read((r) => r.rows.row(bad)))).toBeUndefined();
      expect((await backup.read((r) => r.site.record())).head).toEqual(listing.through);
    });

    it("whose live body passes for a tombstone's is refused alone", async () => {
      const { outcome } = await outcomeWith((row) => ({ ...row, body: null }));
      expect(outcome.rejected.map(({ code }) => code)).toEqual(["row_hash_wrong"]);
    });

    it("that is too large is refused alone, and one of the largest size is taken", async () => {
      const sized = (length: number) => (row: Row) => {
        const body = new Uint8Array(length);
        return { ...row, body, hash: hashRow(sha256Hash, body) };
      };
      const { outcome } = await outcomeWith(sized(rowBodyBytesMax + 1));
      expect(outcome.rejected.map(({ code }) => code)).toEqual(["row_too_large"]);
      expect((await outcomeWith(sized(rowBodyBytesMax))).outcome.rejected).toEqual([]);
    });

    it("that could not be read is named as it was sent", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 1);
      const push = await pushOf(primary, await primary.read((r) => r.replication.listAbove(start, batch)));
      const key = { kind: "hologram", key: { vault_id: "v", frame: "7" } };
      const rejection = { key, position: { epoch: 1, seq: 2 }, code: "row_kind_unknown" as const };
      const unreadable = { kind: "unreadable" as const, ...rejection };
      const outcome = expectApplied(
        await backup.transact((tx) =>
          tx.replication.applyPush({ ...push, rows: [...push.rows, unreadable] }),
        ),
      );
      expect(outcome).toMatchObject({ accepted: 2, rejected: [rejection] });
    });
  });

  describe("a rejection", () => {
    /** A backup that took a push of a vault and two entries, but for the entry at 1:2, whose hash was wrong. */
    const lacking = async () => {
      const { primary, backup } = await pair();
      const { keys } = await fill(primary, 2);
      const listing = await primary.read((r) => r.replication.listAbove(start, batch));
      const push = await pushOf(primary, listing);
      const rows = push.rows.map((pushed) =>
        pushed.kind === "row" && pushed.row.position.seq === 2
          ? { ...pushed, row: { ...pushed.row, body: utf8("forged") } }
          : pushed,
      );
      const { rejected } = expectApplied(
        await backup.transact((tx) => tx.replication.applyPush({ ...push, rows })),
      );
      return { primary, backup, key: keys[0] ?? newVault(), listing, push, rejected };
    };

    it("is named by every answer until the row is taken, also by a refusal", async () => {
      const { primary, backup, listing, push, rejected } = await lacking();
      expect(rejected).toMatchObject([{ position: { epoch: 1, seq: 2 }, code: "row_hash_wrong" }]);
      expect(await backup.transact((tx) => tx.replication.applyPush(push))).toMatchObject({
        kind: "refused",
        code: "resume",
        rejected,
      });
      const { head } = await backup.read((r) => r.site.record());
      const next = await primary.read((r) => r.replication.listAbove(head.position, batch));
      const push2 = await pushOf(primary, next);
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(push2))).rejected).toEqual(
        rejected,
      );
      const again = { ...listing, after: head, through: head };
      const push3 = await pushOf(primary, again);
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(push3))).rejected).toEqual(
        [],
      );
    });

    it("is still named when the store is opened again", async () => {
      const { backup, push, rejected } = await lacking();
      expect(await (await reopen(backup)).transact((tx) => tx.replication.applyPush(push))).toMatchObject({
        kind: "refused",
        rejected,
      });
    });

    it("ends when the row comes changed", async () => {
      const { primary, backup, key } = await lacking();
      await set(primary, key, "changed");
      const { head } = await backup.read((r) => r.site.record());
      const push = await pushOf(
        primary,
        await primary.read((r) => r.replication.listAbove(head.position, batch)),
      );
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(push))).rejected).toEqual(
        [],
      );
      expect((await backup.read((r) => r.rows.row(key)))?.body).toEqual(utf8("changed"));
    });

    it("stands while only an older state of the row comes", async () => {
      const { primary, backup, key, push } = await lacking();
      const bad = await set(primary, key, "changed");
      const after2 = (await backup.read((r) => r.site.record())).head.position;
      const next = await pushOf(primary, await primary.read((r) => r.replication.listAbove(after2, batch)));
      const forged = { kind: "row" as const, row: { ...bad, body: utf8("forged") } };
      const { rejected } = expectApplied(
        await backup.transact((tx) => tx.replication.applyPush({ ...next, rows: [forged] })),
      );
      const { head } = await backup.read((r) => r.site.record());
      const older = { ...push, after: head, through: head };
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(older))).rejected).toEqual(
        rejected,
      );
    });

    it("puts its row into quarantine also where the answer that named it first was lost", async () => {
      const { primary, backup, key, rejected } = await lacking();
      const { head } = await backup.read((r) => r.site.record());
      const refused = rejected.map(({ position, code }) => ({ key, position, code }));
      expect(await primary.transact((tx) => tx.replication.resumeFrom(zurich, head, refused))).toBe("known");
      expect(await primary.read((r) => r.replication.backlog(zurich))).toEqual({
        dirty: 0,
        oldestDirtySince: null,
        quarantined: 1,
      });
      expect((await primary.read((r) => r.rows.row(key)))?.dirty).toBe(true);
    });
  });

  it("names every row that it refuses of a push, however many it lacks besides", async () => {
    const { primary, backup } = await pair();
    const { vault } = await fill(primary, 0);
    const keys = Array.from({ length: 1_200 }, () => newEntry(vault.vaultId));
    await primary.transact((tx) => tx.rows.write(putAll(keys, "an entry")));
    const forged = ({ rows, ...rest }: Push): Push => ({
      ...rest,
      rows: rows.map((pushed) =>
        pushed.kind === "row" && pushed.row.key.kind === "entry"
          ? { ...pushed, row: { ...pushed.row, body: utf8("forged") } }
          : pushed,
      ),
    });
    const unnamed = async (after: Position, rows: number, through?: Point): Promise<number> => {
      const listing = await primary.read((r) => r.replication.listAbove(after, { rows, bytes: 2 ** 30 }));
      const { head } = await backup.read((r) => r.site.record());
      const push = forged(
        await pushOf(primary, listing, { after: head, through: through ?? listing.through }),
      );
      const { rejected } = expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)));
      const named = new Set(rejected.map(({ key }) => key.key["entry_id"]));
      return listing.rows.filter(({ key }) => key.kind === "entry" && !named.has(key.entryId)).length;
    };
    expect(await unnamed({ epoch: 0, seq: 0 }, 601)).toBe(0);
    expect(await unnamed((await backup.read((r) => r.site.record())).head.position, 600)).toBe(0);
    // The oldest once more, as an operator demands.
    expect(await unnamed({ epoch: 1, seq: 1 }, 10, (await backup.read((r) => r.site.record())).head)).toBe(0);
  });

  describe("a refused push", () => {
    const filled = async () => {
      const { primary, backup, clock } = await pair();
      const { keys } = await fill(primary, 2);
      await drain(primary, backup);
      await set(primary, keys[0] ?? newVault(), "changed");
      const { head } = await backup.read((r) => r.site.record());
      const push = await pushOf(
        primary,
        await primary.read((r) => r.replication.listAbove(head.position, batch)),
      );
      return { primary, backup, push, clock };
    };

    it.each([
      ["of another realm", "other_realm", { realm: "7e0a0000-0000-4000-8000-000000000000" as RealmId }],
      ["of an older epoch", "stale_epoch", { epoch: { number: 0, id: "z" } }],
      ["in a protocol to come", "protocol_unsupported", { protocol: 99 }],
      [
        "that continues from elsewhere",
        "resume",
        { after: { position: { epoch: 1, seq: 1 }, chain: new Uint8Array(32) } },
      ],
      [
        "that continues from another history",
        "resume",
        { after: { position: { epoch: 1, seq: 3 }, chain: new Uint8Array(32) } },
      ],
      [
        "that would move the watermark back",
        "resume",
        { through: { position: { epoch: 1, seq: 2 }, chain: new Uint8Array(32) } },
      ],
      [
        "of a history that parted below",
        "forked",
        {
          epoch: { number: 2, id: "b" },
          timeline: [
            {
              epoch: { number: 2, id: "b" },
              site: calgary,
              from: { position: { epoch: 0, seq: 0 }, chain: new Uint8Array(32) },
            },
          ],
        },
      ],
    ] as const)("%s changes nothing and says where this backup stands", async (_, code, changes) => {
      const { backup, push } = await filled();
      const [site, rows] = [await backup.read((r) => r.site.record()), shared(await allRows(backup))];
      const outcome = await backup.transact((tx) => tx.replication.applyPush({ ...push, ...changes }));
      expect(outcome).toMatchObject({
        kind: "refused",
        code,
        receiver: { site: zurich, role: "backup", applied: site.head },
      });
      const after = await backup.read((r) => r.site.record());
      expect({ ...after, epochSeen: site.epochSeen }).toEqual(site);
      expect(shared(await allRows(backup))).toEqual(rows);
    });

    it("names what stands first in the order of the checks: realm, sender, epoch, role, protocol, fork, history", async () => {
      const { primary, backup, push } = await filled();
      const promotion = { epoch: { number: 9, id: "b" }, site: calgary, from: origin };
      const faults: readonly (readonly [string, Partial<Push>])[] = [
        ["other_realm", { realm: "7e0a0000-0000-4000-8000-000000000000" as RealmId }],
        ["stale_epoch", { epoch: { number: 0, id: "z" } }],
        ["not_a_backup", {}],
        ["protocol_unsupported", { protocol: 99 }],
        ["forked", { timeline: [promotion] }],
        ["resume", { after: origin }],
      ];
      const another = { epoch: { number: 0, id: "z" }, site: geneva, from: origin };
      const senders = await backup.transact((tx) =>
        tx.replication.applyPush({
          ...faults.slice(1).reduce<Push>((made, [, fault]) => ({ ...made, ...fault }), push),
          timeline: [another],
        }),
      );
      expect(senders).toMatchObject({ kind: "refused", code: "other_primary" });
      for (const [index, [code]] of faults.entries()) {
        const all = faults.slice(index).reduce<Push>((made, [, fault]) => ({ ...made, ...fault }), push);
        const receiver = index <= 2 ? primary : backup;
        expect(await receiver.transact((tx) => tx.replication.applyPush(all))).toMatchObject({
          kind: "refused",
          code,
        });
      }
    });

    it("leaves a higher epoch behind, after which the older primary is refused", async () => {
      const { backup, push } = await filled();
      const epoch = { number: 2, id: "b" };
      await backup.transact((tx) => tx.replication.applyPush({ ...push, epoch, protocol: 99 }));
      expect((await backup.read((r) => r.site.record())).epochSeen).toEqual(epoch);
      const outcome = await backup.transact((tx) => tx.replication.applyPush(push));
      expect(outcome).toMatchObject({ kind: "refused", code: "stale_epoch", receiver: { epoch } });
    });

    it("of an epoch that no site can be at changes nothing", async () => {
      const { backup, push } = await filled();
      const site = await backup.read((r) => r.site.record());
      const made = backup.transact((tx) =>
        tx.replication.applyPush({ ...push, epoch: { number: Number.MAX_SAFE_INTEGER, id: "b" } }),
      );
      await expect(made).rejects.toMatchObject({ code: "invalid_request" });
      expect(await backup.read((r) => r.site.record())).toEqual(site);
    });

    it("leaves no epoch on an empty backup, which may yet be filled by a primary of another realm", async () => {
      const { push } = await filled();
      const empty = await open({ site: zurich, role: "backup", clock: new VirtualClock() });
      const site = await empty.read((r) => r.site.record());
      const asked = await empty.transact((tx) =>
        tx.replication.applyPush({ ...push, epoch: { number: 9, id: "b" } }),
      );
      expect(asked).toMatchObject({ kind: "refused", code: "resume" });
      expect(await empty.read((r) => r.site.record())).toEqual(site);
    });

    it("of another realm leaves nothing behind at all", async () => {
      const { backup, push } = await filled();
      const site = await backup.read((r) => r.site.record());
      const realm = "7e0a0000-0000-4000-8000-000000000000" as RealmId;
      await backup.transact((tx) =>
        tx.replication.applyPush({ ...push, realm, epoch: { number: 9, id: "b" } }),
      );
      expect(await backup.read((r) => r.site.record())).toEqual(site);
    });

    it("of an epoch whose primary is another site leaves nothing behind at all, by whosever timeline", async () => {
      const { primary, backup, push } = await filled();
      const epoch = { number: 2, id: "b" };
      const line = { epoch, site: calgary, from: push.after };
      const pushes: readonly Push[] = [
        { ...push, site: geneva },
        { ...push, site: geneva, timeline: [] },
        { ...push, site: geneva, epoch, timeline: [...push.timeline, line] },
      ];
      for (const receiver of [primary, backup]) {
        const [site, rows] = [await receiver.read((r) => r.site.record()), shared(await allRows(receiver))];
        for (const another of pushes) {
          expect(await receiver.transact((tx) => tx.replication.applyPush(another))).toMatchObject({
            kind: "refused",
            code: "other_primary",
          });
        }
        expect([await receiver.read((r) => r.site.record()), shared(await allRows(receiver))]).toEqual([
          site,
          rows,
        ]);
      }
    });

    it("is what a primary answers, and a push of a higher epoch fences it", async () => {
      const { primary, push } = await filled();
      const same = await primary.transact((tx) => tx.replication.applyPush(push));
      expect(same).toMatchObject({ kind: "refused", code: "not_a_backup" });
      expect((await primary.read((r) => r.site.record())).fenced).toBeNull();
      const higher = await primary.transact((tx) =>
        tx.replication.applyPush({ ...push, epoch: { number: 2, id: "b" } }),
      );
      expect(higher).toMatchObject({ kind: "refused", code: "not_a_backup" });
      expect((await primary.read((r) => r.site.record())).fenced).toBe("primary_superseded");
    });
  });

  describe("a site whose disk was put back", () => {
    it("is filled again from where it stands, when it is the backup", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 5);
      await drain(primary, backup, { rows: 2, bytes: 2 ** 20 });
      const empty = await open({ site: zurich, role: "backup", clock: new VirtualClock() });
      await drain(primary, empty, { rows: 2, bytes: 2 ** 20 });
      expect(shared(await allRows(empty))).toEqual(shared(await allRows(primary)));
    });
  });
}
