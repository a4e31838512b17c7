import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import { Buckets } from "../../src/core/digest.ts";
import { hashRow } from "../../src/core/row.ts";
import type { Listing } from "../../src/core/store/replication.ts";
import type { Store } from "../../src/core/store/store.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import {
  allRows,
  batch,
  calgary,
  countedDigest,
  drain,
  expectApplied,
  fill,
  geneva,
  impossible,
  newEntry,
  newVault,
  put,
  putAll,
  pushOf,
  type StoreUnderTest,
  set,
  zurich,
} from "./store-harness.ts";

const start = { epoch: 0, seq: 0 };
const everything = { rows: 10_000, bytes: 2 ** 30 };

/** What a store says of all its rows at once, and what two sites prove to each other with it. */
export function digestContract({ open, reopen }: StoreUnderTest): void {
  const pair = async (): Promise<{ primary: Store; backup: Store; clock: VirtualClock }> => {
    const clock = new VirtualClock();
    const primary = await open({ site: calgary, role: "primary", clock });
    await primary.transact((tx) => tx.replication.configurePeers([zurich]));
    return { primary, backup: await open({ site: zurich, role: "backup", clock }), clock };
  };

  const digestOf = async (store: Store): Promise<Uint8Array> =>
    (await store.read((r) => r.site.digest())).digest;

  /** Refuses a row for a peer, as it stands. */
  const refuse = async (store: Store, rows: Listing["rows"], peer = zurich): Promise<void> => {
    const { head } = await store.read((r) => r.site.record());
    const rejected = rows.map((row) => ({ ...row, code: "row_malformed" as const }));
    await store.acknowledgements.take(peer, { through: head, rows, rejected, verified: null });
  };

  describe("the digest", () => {
    it("of a site without rows is that of empty buckets, on either role", async () => {
      const { primary, backup } = await pair();
      const empty = new Buckets().digest(sha256Hash);
      expect([await digestOf(primary), await digestOf(backup)]).toEqual([empty, empty]);
    });

    it("is of the rows at the head: made, changed, purged and made again", async () => {
      const { primary } = await pair();
      const { vault } = await fill(primary, 2);
      const key = newEntry(vault.vaultId);
      const seen = new Set<string>();
      for (const text of ["made", "changed", null, "made"]) {
        await set(primary, key, text);
        expect(await digestOf(primary)).toEqual(await countedDigest(primary));
        seen.add((await digestOf(primary)).toString());
      }
      expect(seen.size).toBe(4);
      expect((await primary.read((r) => r.site.digest())).head).toEqual(
        (await primary.read((r) => r.site.record())).head,
      );
    });

    it("has nothing of a write that fails, alone or among others of its turn", async () => {
      const { primary } = await pair();
      const { keys } = await fill(primary, 3);
      const before = await digestOf(primary);
      const failing = { keys: [], decide: () => [{ key: newVault(), body: utf8("x") }, impossible] };
      await expect(primary.transact((tx) => tx.rows.write(failing))).rejects.toMatchObject({
        code: "entry_exists",
      });
      expect(await digestOf(primary)).toEqual(before);
      const outcomes = await Promise.allSettled([
        primary.transact((tx) => tx.rows.write(failing)),
        primary.transact((tx) => tx.rows.write(put(keys[0] ?? newVault(), "first"))),
        primary.transact((tx) => tx.rows.write(failing)),
        primary.transact((tx) => tx.rows.write(put(keys[1] ?? newVault(), "second"))),
        primary.transact((tx) => tx.rows.write(put(keys[0] ?? newVault(), "third"))),
        primary.transact((tx) => tx.rows.write(failing)),
      ]);
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
      expect(await digestOf(primary)).toEqual(await countedDigest(primary));
    });

    it("is that of the rows after a write of thousands, and when the store is opened again", async () => {
      const { primary } = await pair();
      const { vault } = await fill(primary, 1);
      const keys = Array.from({ length: 2_500 }, () => newEntry(vault.vaultId));
      await primary.transact((tx) => tx.rows.write(putAll(keys, "an entry")));
      const digest = await countedDigest(primary);
      expect(await digestOf(primary)).toEqual(digest);
      const again = await reopen(primary);
      expect(await digestOf(again)).toEqual(digest);
      await set(again, keys[7] ?? vault, "changed");
      expect(await digestOf(again)).toEqual(await countedDigest(again));
    });

    it("of equal sites is equal, whatever the way there", async () => {
      const { primary, backup } = await pair();
      const other = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
      await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
      const { vault, keys } = await fill(primary, 9);
      await drain(primary, backup, { rows: 2, bytes: 2 ** 20 });
      await set(primary, keys[3] ?? vault, null);
      await set(primary, vault, "renamed");
      await drain(primary, backup, { rows: 1, bytes: 2 ** 20 });
      await drain(primary, other);
      expect(await digestOf(backup)).toEqual(await digestOf(primary));
      expect(await digestOf(other)).toEqual(await digestOf(primary));
    });

    it("is of what another has, but not of the marks that are a site's own", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 2);
      const before = await digestOf(primary);
      await drain(primary, backup);
      await primary.acknowledgements.settle();
      expect((await allRows(primary)).map(({ dirty }) => dirty)).toEqual([false, false, false]);
      expect(await digestOf(primary)).toEqual(before);
    });
  });

  describe("a listing's digest", () => {
    it("comes with the last one only, and is the site's", async () => {
      const { primary } = await pair();
      await fill(primary, 3);
      const first = await primary.read((r) =>
        r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }, zurich),
      );
      expect(first).toMatchObject({ isLast: false, digest: null, except: [] });
      const last = await primary.read((r) => r.replication.listAbove(first.through.position, batch, zurich));
      expect(last).toMatchObject({ isLast: true, digest: await digestOf(primary), except: [] });
    });

    it("leaves out what that peer refuses as it stands, and names it", async () => {
      const { primary, backup } = await pair();
      await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
      const { vault, keys } = await fill(primary, 3);
      await drain(primary, backup);
      const rows = [];
      for (const key of [vault, ...keys.slice(0, 2)]) rows.push(await set(primary, key, "bad"));
      await refuse(primary, rows);
      await set(primary, keys[0] ?? vault, "better");
      const buckets = new Buckets();
      const left = (await allRows(primary)).filter(({ body }) => body?.join() !== utf8("bad").join());
      for (const row of left) buckets.toggle(sha256Hash, row);
      const { digest, except } = await primary.read((r) => r.replication.listAbove(start, batch, zurich));
      expect(except).toEqual([vault, keys[1]]);
      expect(digest).toEqual(buckets.digest(sha256Hash));
      const whole = { digest: await digestOf(primary), except: [] };
      expect(await primary.read((r) => r.replication.listAbove(start, batch, geneva))).toMatchObject(whole);
      expect(await primary.read((r) => r.replication.listAbove(start, batch))).toMatchObject(whole);
    });

    it("is there while the peer refuses a thousand rows, and not for one more", async () => {
      const { primary, backup } = await pair();
      const { vault } = await fill(primary, 0);
      const keys = Array.from({ length: 1_000 }, () => newEntry(vault.vaultId));
      const rows = await primary.transact((tx) => tx.rows.write(putAll(keys, "bad")));
      await drain(primary, backup);
      await refuse(primary, rows);
      const { digest, except } = await primary.read((r) =>
        r.replication.listAbove(start, everything, zurich),
      );
      expect([digest !== null, except.length]).toEqual([true, 1_000]);
      await refuse(primary, [await set(primary, newEntry(vault.vaultId), "bad")]);
      const more = await primary.read((r) => r.replication.listAbove(start, everything, zurich));
      expect(more).toMatchObject({ digest: null, except: [] });
    });
  });

  describe("a push with a digest", () => {
    it("proves the sites equal: the backup says so, and keeps where and when", async () => {
      const { primary, backup, clock } = await pair();
      await fill(primary, 3);
      expect((await backup.read((r) => r.site.record())).verified).toBeNull();
      const first = await primary.read((r) =>
        r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }, zurich),
      );
      const push = await pushOf(primary, first);
      expect(
        expectApplied(await backup.transact((tx) => tx.replication.applyPush(push))).verified,
      ).toBeNull();
      expect((await backup.read((r) => r.site.record())).verified).toBeNull();
      const last = await primary.read((r) => r.replication.listAbove(first.through.position, batch, zurich));
      const push2 = await pushOf(primary, last);
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(push2))).verified).toBe(
        true,
      );
      const verified = { position: last.through.position, at: clock.now() };
      expect((await (await reopen(backup)).read((r) => r.site.record())).verified).toEqual(verified);
    });

    it("finds a row that differs, and keeps the last proof there was", async () => {
      const { primary, backup } = await pair();
      const { keys } = await fill(primary, 2);
      await drain(primary, backup);
      const { verified } = await backup.read((r) => r.site.record());
      const row = await set(primary, keys[0] ?? newVault(), "true");
      const after = (await backup.read((r) => r.site.record())).head.position;
      const push = await pushOf(primary, await primary.read((r) => r.replication.listAbove(after, batch)));
      const body = utf8("false");
      const other = { ...row, body, hash: hashRow(sha256Hash, body) };
      const outcome = await backup.transact((tx) =>
        tx.replication.applyPush({ ...push, rows: [{ kind: "row", row: other }] }),
      );
      expect(expectApplied(outcome)).toMatchObject({ accepted: 1, verified: false });
      expect((await backup.read((r) => r.site.record())).verified).toEqual(verified);
      await set(primary, keys[0] ?? newVault(), "true again");
      await drain(primary, backup);
      expect((await backup.read((r) => r.site.record())).verified?.position).toEqual(
        (await primary.read((r) => r.site.record())).head.position,
      );
    });

    it("finds a row that only the backup has", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 1);
      const body = utf8("stray");
      const stray = {
        key: newVault(),
        position: { epoch: 1, seq: 1 },
        hash: hashRow(sha256Hash, body),
        body,
      };
      const push = await pushOf(primary, await primary.read((r) => r.replication.listAbove(start, batch)));
      const rows = [...push.rows, { kind: "row" as const, row: stray }];
      expect(
        expectApplied(await backup.transact((tx) => tx.replication.applyPush({ ...push, rows }))).verified,
      ).toBe(false);
    });

    it("compares nothing while it brings a row that is refused only now, and the rest once that is left out", async () => {
      const { primary, backup } = await pair();
      const { keys } = await fill(primary, 3);
      await drain(primary, backup);
      const bad = await set(primary, keys[1] ?? newVault(), "bad");
      const after = (await backup.read((r) => r.site.record())).head.position;
      const push = await pushOf(primary, await primary.read((r) => r.replication.listAbove(after, batch)));
      const forged = { kind: "row" as const, row: { ...bad, body: utf8("forged") } };
      const outcome = expectApplied(
        await backup.transact((tx) => tx.replication.applyPush({ ...push, rows: [forged] })),
      );
      expect(outcome).toMatchObject({ verified: null, rejected: [{ code: "row_hash_wrong" }] });
      await refuse(primary, [bad]);
      const after2 = (await backup.read((r) => r.site.record())).head.position;
      const next = await primary.read((r) => r.replication.listAbove(after2, batch, zurich));
      expect(next.except).toEqual([bad.key]);
      const push2 = await pushOf(primary, next);
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(push2))).verified).toBe(
        true,
      );
    });

    it("is compared also where a row is refused that the digest leaves out already", async () => {
      const { primary, backup } = await pair();
      const { keys } = await fill(primary, 2);
      const [bad] = (
        await primary.read((r) => r.replication.listAbove({ epoch: 1, seq: 2 }, batch))
      ).rows.slice(1);
      if (!bad) throw new Error("nothing listed");
      await refuse(primary, [bad]);
      const push = await pushOf(
        primary,
        await primary.read((r) => r.replication.listAbove(start, batch, zurich)),
      );
      const rows = push.rows.map((pushed) =>
        pushed.kind === "row" && pushed.row.position.seq === bad.position.seq
          ? { ...pushed, row: { ...bad, body: utf8("forged") } }
          : pushed,
      );
      const outcome = expectApplied(
        await backup.transact((tx) => tx.replication.applyPush({ ...push, rows })),
      );
      expect(outcome).toMatchObject({ verified: true, rejected: [{ position: bad.position }] });
      expect(await backup.read((r) => r.rows.row(keys[1] ?? newVault()))).toBeUndefined();
    });

    it("completes a backup that came home", async () => {
      const { primary, backup } = await pair();
      await primary.transact((tx) => tx.replication.configurePeers([zurich]));
      await fill(primary, 3);
      await drain(primary, backup);
      const { head } = await backup.read((r) => r.site.record());
      await backup.transact((tx) => tx.replication.configurePeers([calgary]));
      await backup.transact((tx) => tx.roles.promote());
      const epoch2 = (await backup.read((r) => r.site.record())).epoch;
      await primary.transact((tx) => tx.site.recordEpoch(epoch2));
      const winner = {
        epoch: (await backup.read((r) => r.site.record())).epoch,
        timeline: await backup.read((r) => r.site.timeline()),
        common: head,
      };
      await primary.homecoming.rejoin(winner);
      await fill(backup, 2);
      const first = await backup.read((r) =>
        r.replication.listAbove(head.position, { rows: 1, bytes: 2 ** 20 }, calgary),
      );
      const push = await pushOf(backup, first);
      expectApplied(await primary.transact((tx) => tx.replication.applyPush(push)));
      expect(await primary.read((r) => r.site.record())).toMatchObject({ isComplete: false, verified: null });
      await drain(backup, primary);
      const { position } = (await backup.read((r) => r.site.record())).head;
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        isComplete: true,
        verified: { position },
      });
    });
  });

  describe("what a peer has proved", () => {
    const acknowledge = async (store: Store, verified: boolean | null, through?: Listing["through"]) => {
      const { head } = await store.read((r) => r.site.record());
      const ack = { through: through ?? head, rows: [], rejected: [], verified };
      expect(await store.acknowledgements.take(zurich, ack)).toBe("known");
      return (await store.read((r) => r.replication.peers()))[0];
    };

    it("is kept with the time, and forgotten by no answer that compared nothing", async () => {
      const { primary, clock } = await pair();
      await fill(primary, 1);
      const verified = {
        position: (await primary.read((r) => r.site.record())).head.position,
        at: clock.now(),
      };
      expect(await acknowledge(primary, true)).toMatchObject({ verified, diverged: false });
      await clock.advance(5_000);
      await set(primary, newVault(), "x");
      expect(await acknowledge(primary, null)).toMatchObject({ verified, diverged: false });
      expect((await (await reopen(primary)).read((r) => r.replication.peers()))[0]).toMatchObject({
        verified,
      });
    });

    it("is that it differs until a digest is equal again, however often it was repaired", async () => {
      const { primary } = await pair();
      await fill(primary, 1);
      await acknowledge(primary, true);
      expect(await acknowledge(primary, false)).toMatchObject({ diverged: true, repairs: 0 });
      await primary.transact((tx) => tx.replication.beginRepair(zurich));
      await primary.transact((tx) => tx.replication.beginRepair(zurich));
      const again = await reopen(primary);
      expect((await again.read((r) => r.replication.peers()))[0]).toMatchObject({
        diverged: true,
        repairs: 2,
      });
      expect(await acknowledge(again, null)).toMatchObject({ diverged: true, repairs: 2 });
      expect(await acknowledge(again, true)).toMatchObject({ diverged: false, repairs: 0 });
    });

    it("is as if it had never been repaired, where an operator demands it", async () => {
      const { primary } = await pair();
      await primary.transact((tx) => tx.replication.beginRepair(zurich));
      await primary.transact((tx) => tx.replication.demandRepair(zurich));
      expect((await primary.read((r) => r.replication.peers()))[0]).toMatchObject({
        diverged: true,
        repairs: 0,
      });
    });

    it("is not changed by a late answer about an older state", async () => {
      const { primary } = await pair();
      await fill(primary, 1);
      const { head: older } = await primary.read((r) => r.site.record());
      await set(primary, newVault(), "x");
      await acknowledge(primary, false);
      expect(await acknowledge(primary, true, older)).toMatchObject({ diverged: true, verified: null });
    });
  });
}
