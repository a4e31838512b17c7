import { describe, expect, it } from "vitest";
import {
  type AuditEvent,
  type AuditPart,
  auditPartMax,
  type AuditRecord,
  beginAction,
  chainStart,
  decodeBeginning,
  nextRecord,
  walkChain,
} from "../../src/core/audit.ts";
import type { AuditChain, AuditPage } from "../../src/core/store/audit.ts";
import type { Store } from "../../src/core/store/store.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import {
  batch,
  calgary,
  expectApplied,
  fill,
  geneva,
  impossible,
  newEntry,
  newVault,
  pushOf,
  put,
  set,
  type StoreUnderTest,
  zurich,
} from "./store-harness.ts";

const reading: AuditEvent = {
  actor: { kind: "access", id: "an access" },
  action: "getEntry",
  vaultId: "a vault",
  itemId: "an entry",
  address: "192.0.2.7",
  result: "ok",
};

/** The records of a chain, which must be whole. */
async function recordsOf(store: Store, { chain, anchor }: AuditChain): Promise<readonly AuditRecord[]> {
  const records = await store.read((r) => r.audit.records(chain, anchor.seq, 1_000));
  expect(walkChain(sha256Hash, anchor, records).kind).toBe("whole");
  return records;
}

async function ownChain(store: Store): Promise<AuditChain> {
  const own = (await store.read((r) => r.audit.chains())).find(({ isOwn }) => isOwn);
  if (!own) throw new Error("the site has no chain");
  return own;
}

async function actionsOf(store: Store, chain: AuditChain["chain"]): Promise<readonly string[]> {
  const copy = (await store.read((r) => r.audit.chains())).find((candidate) => candidate.chain === chain);
  if (!copy) return [];
  return (await recordsOf(store, copy)).map(({ action }) => action);
}

/** One push and its ACK, with what they tell of the audit. Returns both parts. */
async function share(
  primary: Store,
  backup: Store,
  change: (part: AuditPart) => AuditPart = (part) => part,
): Promise<{ readonly told: AuditPart; readonly answered: AuditPart | undefined }> {
  const peer = (await backup.read((r) => r.site.record())).site;
  const applied = (await backup.read((r) => r.site.record())).head;
  await primary.transact((tx) => tx.replication.resumeFrom(peer, applied, []));
  const { head } = await backup.read((r) => r.site.record());
  const { rows, through, ...listing } = await primary.read((r) =>
    r.replication.listAbove(head.position, batch, peer),
  );
  const told = change(await primary.read((r) => r.audit.partFor(peer)));
  const push = await pushOf(primary, { rows, through, ...listing }, { audit: told });
  const { verified, audit } = expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)));
  await primary.acknowledgements.take(peer, { through, rows, rejected: [], verified, audit });
  return { told, answered: audit };
}

/** The audit of a site: one chain of its own, and copies of the others'. */
export function auditContract({ open, reopen, behind }: StoreUnderTest): void {
  const openSite = (site: SiteName, role: "primary" | "backup", clock = new VirtualClock()) =>
    open({ site, role, clock });
  const openPair = async (): Promise<{ primary: Store; backup: Store }> => {
    const primary = await openSite(calgary, "primary");
    await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
    await fill(primary, 2);
    const backup = await openSite(zurich, "backup");
    await share(primary, backup);
    return { primary, backup };
  };
  /** What a disk that was put back holds: the site's own chain up to a record. */
  /** Puts a site's disk back to where its chain had so many records, and opens what is there. */
  const putBack = async (store: Store, seq: number): Promise<Store> => {
    const own = "(SELECT id FROM audit_chains WHERE own = 1)";
    await behind(store, `DELETE FROM audit_records WHERE seq > ? AND chain = ${own}`, seq);
    return await reopen(store);
  };

  describe("a site's own chain", () => {
    it("begins with its first record by one that names the site", async () => {
      const store = await openSite(calgary, "primary");
      expect(await store.read((r) => r.audit.chains())).toEqual([]);
      await store.journal.record(reading);
      const own = await ownChain(store);
      const [first, second] = await recordsOf(store, own);
      expect(first).toMatchObject({ seq: 1, action: beginAction, actor: { kind: "machine", id: calgary } });
      expect(decodeBeginning(first?.details ?? new Uint8Array())).toEqual({ site: calgary, known: [] });
      expect(second).toMatchObject({ seq: 2, ...reading, details: null });
      expect(own).toMatchObject({ site: calgary, anchor: chainStart, head: { seq: 2 } });
    });

    it("goes on where it was when the store is opened again", async () => {
      const store = await openSite(calgary, "primary");
      await store.journal.record(reading);
      const { chain } = await ownChain(store);
      const again = await reopen(store);
      await again.journal.record({ ...reading, action: "listEntries" });
      expect(await actionsOf(again, chain)).toEqual([beginAction, "getEntry", "listEntries"]);
    });

    it("holds a write's record where it holds the write, with what the rows tell of it", async () => {
      const store = await openSite(calgary, "primary");
      const key = newEntry(newVault().vaultId);
      const audit = { ...reading, action: "putEntry", vaultId: null, itemId: null };
      await store.transact((tx) => tx.rows.write({ ...put(key, "new"), audit }));
      await expect(
        store.transact((tx) =>
          tx.rows.write({ keys: [key], decide: () => [{ key, body: null }, impossible], audit }),
        ),
      ).rejects.toMatchObject({ code: "entry_exists" });
      const records = await recordsOf(store, await ownChain(store));
      expect(records.slice(1)).toMatchObject([
        { action: "putEntry", vaultId: key.vaultId, itemId: key.entryId },
      ]);
    });

    it("holds all that was recorded in one turn, in order, beside the writes of that turn", async () => {
      const store = await openSite(calgary, "primary");
      const vault = newVault();
      const recorded = Array.from({ length: 450 }, (_, i) =>
        store.journal.record({ ...reading, action: `read${i}` }),
      );
      const written = store.transact((tx) =>
        tx.rows.write({ ...put(vault, "new"), audit: { ...reading, action: "createVault" } }),
      );
      await Promise.all([...recorded, written]);
      await store.journal.record({ ...reading, action: "last" });
      const actions = (await recordsOf(store, await ownChain(store))).map(({ action }) => action);
      expect(actions.filter((action) => action.startsWith("read"))).toEqual(
        recorded.map((_, i) => `read${i}`),
      );
      expect(actions).toHaveLength(1 + 450 + 2);
      expect(actions.at(-1)).toBe("last");
    });

    it("takes nothing that is not printable, and nothing long", async () => {
      const store = await openSite(calgary, "primary");
      await store.journal.record({ ...reading, address: `\u001b[2J${"x".repeat(500)}` });
      const [, record] = await recordsOf(store, await ownChain(store));
      expect(record?.address).toBe(`?[2J${"x".repeat(60)}`);
    });

    it("is shown to nobody beyond what a loss of power leaves", async () => {
      const { primary } = await openPair();
      await primary.journal.record(reading);
      expect((await primary.read((r) => r.audit.partFor(zurich))).heads).toEqual([]);
      await set(primary, newVault(), "durable");
      await primary.journal.record(reading);
      const { heads, records } = await primary.read((r) => r.audit.partFor(zurich));
      expect(heads).toMatchObject([{ site: calgary, head: { seq: 2 } }]);
      expect(records.map(({ seq }) => seq)).toEqual([1, 2]);
      await set(primary, newVault(), "durable");
      expect((await primary.read((r) => r.audit.partFor(zurich))).heads).toMatchObject([
        { head: { seq: 3 } },
      ]);
    });
  });

  describe("a push and its ACK", () => {
    it("bring each site what the other has recorded, and nothing twice", async () => {
      const { primary, backup } = await openPair();
      await primary.journal.record(reading);
      await backup.journal.record({ ...reading, action: "listEntries" });
      await set(primary, newVault(), "durable");
      const first = await share(primary, backup);
      expect(first.told.records).toHaveLength(2);
      expect(first.answered?.records).toHaveLength(2);
      const [own, others] = [await ownChain(primary), await ownChain(backup)];
      expect(await actionsOf(backup, own.chain)).toEqual([beginAction, "getEntry"]);
      expect(await actionsOf(primary, others.chain)).toEqual([beginAction, "listEntries"]);
      const second = await share(primary, backup);
      expect(second.told.records).toEqual([]);
      expect(second.answered).toMatchObject({ records: [], more: false });
      expect(await primary.read((r) => r.audit.shown())).toMatchObject([{ peer: zurich, heads: [{}, {}] }]);
      expect(await primary.read((r) => r.audit.troubles())).toEqual([]);
    });

    it("carry no more than they may, oldest first, until everything is there", async () => {
      const { primary, backup } = await openPair();
      for (let i = 0; i < auditPartMax.records + 50; i += 1) await primary.journal.record(reading);
      await set(primary, newVault(), "durable");
      const { told } = await share(primary, backup);
      expect(told.more).toBe(true);
      expect(JSON.stringify(told.records).length).toBeLessThan(2 * auditPartMax.bytes);
      for (let left = 10; left > 0 && (await share(primary, backup)).told.more; left -= 1);
      const { chain, head } = await ownChain(primary);
      expect((await actionsOf(backup, chain)).length).toBe(head.seq);
    });

    it("carry the chains of third sites too", async () => {
      const { primary, backup } = await openPair();
      const third = await openSite(geneva, "backup");
      await third.journal.record(reading);
      await share(primary, third);
      await set(primary, newVault(), "durable");
      await share(primary, backup);
      const { chain } = await ownChain(third);
      expect(await actionsOf(backup, chain)).toEqual([beginAction, "getEntry"]);
    });

    it("with records that do not follow bring none of them, and are taken all the same", async () => {
      const { primary, backup } = await openPair();
      for (let i = 0; i < 3; i += 1) await primary.journal.record(reading);
      await set(primary, newVault(), "durable");
      const { chain } = await ownChain(primary);
      await share(primary, backup, (part) => ({ ...part, records: part.records.slice(2) }));
      expect(await actionsOf(backup, chain)).toEqual([]);
      const forged = (part: AuditPart): AuditPart => ({
        ...part,
        records: part.records.map((record) => (record.seq === 3 ? { ...record, result: "other" } : record)),
      });
      await share(primary, backup, forged);
      expect(await actionsOf(backup, chain)).toEqual([beginAction, "getEntry"]);
      expect(await backup.read((r) => r.audit.troubles())).toMatchObject([
        { site: calgary, chain, seq: 3, peer: calgary },
      ]);
      await backup.transact((tx) => tx.audit.settle());
      expect(await backup.read((r) => r.audit.troubles())).toEqual([]);
    });

    it("are applied also where the audit cannot be", async () => {
      const { primary, backup } = await openPair();
      await primary.journal.record(reading);
      const row = await set(primary, newVault(), "new");
      await behind(backup, "ALTER TABLE audit_shown RENAME TO audit_gone");
      const { answered } = await share(primary, backup);
      expect(answered).toBeUndefined();
      expect(await backup.read((r) => r.rows.row(row.key))).toMatchObject({ position: row.position });
      expect(await backup.read((r) => r.audit.chains())).toEqual([]);
    });
  });

  describe("a site whose disk was put back", () => {
    it("learns of it from a peer, begins a chain that names what there was, and gets its records back", async () => {
      const { primary, backup: before } = await openPair();
      for (let i = 0; i < 4; i += 1) await before.journal.record(reading);
      await share(primary, before);
      const old = await ownChain(before);
      const backup = await putBack(before, 2);
      await share(primary, backup);
      const own = await ownChain(backup);
      expect(own.chain).not.toBe(old.chain);
      expect(await backup.read((r) => r.audit.troubles())).toEqual([
        { site: zurich, chain: old.chain, seq: 3, peer: calgary },
      ]);
      const [first] = await recordsOf(backup, own);
      const { known } = decodeBeginning(first?.details ?? new Uint8Array()) ?? { known: [] };
      const named = known.filter(({ chain }) => chain === old.chain).map(({ head }) => head.seq);
      expect(named).toEqual([2, 5]);
      // The other site has taken the new chain over, and says so.
      await share(primary, backup);
      expect(await backup.read((r) => r.audit.troubles())).toEqual([]);
      expect(await actionsOf(backup, old.chain)).toHaveLength(5);
      expect((await ownChain(backup)).chain).toBe(own.chain);
      expect(await primary.read((r) => r.audit.troubles())).toEqual([]);
    });

    it("and went on from there shows its peer a chain that goes two ways, until it has begun another", async () => {
      const { primary: before, backup } = await openPair();
      for (let i = 0; i < 4; i += 1) await before.journal.record(reading);
      await set(before, newVault(), "durable");
      await share(before, backup);
      const old = await ownChain(before);
      const primary = await putBack(before, 2);
      for (let i = 0; i < 2; i += 1) await primary.journal.record({ ...reading, action: "listEntries" });
      await set(primary, newVault(), "durable");
      await share(primary, backup);
      const trouble = { site: calgary, chain: old.chain };
      expect(await backup.read((r) => r.audit.troubles())).toMatchObject([
        { ...trouble, seq: 4, peer: calgary },
      ]);
      expect(await primary.read((r) => r.audit.troubles())).toMatchObject([{ ...trouble, peer: zurich }]);
      await set(primary, newVault(), "durable");
      await share(primary, backup);
      await share(primary, backup);
      expect(await backup.read((r) => r.audit.troubles())).toEqual([]);
      expect(await primary.read((r) => r.audit.troubles())).toEqual([]);
      const forks = [await actionsOf(primary, old.chain), await actionsOf(backup, old.chain)];
      expect(forks).toEqual([
        [beginAction, "getEntry", "listEntries", "listEntries"],
        [beginAction, "getEntry", "getEntry", "getEntry", "getEntry"],
      ]);
    });

    it("to before its first record learns of it too", async () => {
      const { primary, backup: before } = await openPair();
      await before.journal.record(reading);
      await share(primary, before);
      await behind(before, "DELETE FROM audit_records");
      await behind(before, "DELETE FROM audit_chains");
      const backup = await reopen(before);
      await share(primary, backup);
      expect(await backup.read((r) => r.audit.troubles())).toMatchObject([{ site: zurich, peer: calgary }]);
      await share(primary, backup);
      await share(primary, backup);
      expect(await backup.read((r) => r.audit.troubles())).toEqual([]);
      expect(await backup.read((r) => r.audit.chains())).toHaveLength(2);
    });
  });

  describe("records of all chains", () => {
    it("are listed newest first, in pages, of one vault or of all", async () => {
      const clock = new VirtualClock();
      const store = await openSite(calgary, "primary", clock);
      for (const [index, vaultId] of ["one", "two", "one", "two", "one"].entries()) {
        await clock.advance(1_000);
        await store.journal.record({ ...reading, vaultId, action: `read${index}` });
      }
      const listed: string[] = [];
      let before: AuditPage["next"];
      do {
        const page = await store.read((r) => r.audit.page({ limit: 2, before, vaultId: null }));
        listed.push(...page.records.map(({ action, site }) => `${site} ${action}`));
        before = page.next;
      } while (before);
      const names = ["read4", "read3", "read2", "read1", "read0", beginAction];
      expect(listed).toEqual(names.map((name) => `calgary ${name}`));
      const first = await store.read((r) => r.audit.page({ limit: 2, before: undefined, vaultId: "one" }));
      expect(first.records.map(({ action }) => action)).toEqual(["read4", "read2"]);
      const rest = await store.read((r) => r.audit.page({ limit: 2, before: first.next, vaultId: "one" }));
      expect(rest).toMatchObject({ records: [{ action: "read0" }], next: undefined });
    });
  });

  describe("a head that a peer shows", () => {
    it("of a chain that nobody here knows begins a copy at its anchor, which is taken as it is", async () => {
      const { primary, backup } = await openPair();
      await primary.journal.record(reading);
      await set(primary, newVault(), "durable");
      const { chain, head } = await ownChain(primary);
      const record = nextRecord(sha256Hash, { chain, ...head }, { ...reading, at: 7, details: null });
      await share(primary, backup, (part) => ({
        heads: part.heads.map((shown) => ({ ...shown, anchor: head, head: { seq: 3, hash: record.hash } })),
        records: [record],
        more: false,
      }));
      const [copy] = await backup.read((r) => r.audit.chains());
      expect(copy).toMatchObject({ anchor: { seq: 2 }, head: { seq: 3 }, isOwn: false });
    });
  });
}
