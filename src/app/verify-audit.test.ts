import { expect, test } from "vitest";
import { LinkedPair, zurich } from "../../test/support/linked-pair.ts";
import { sha256Hash } from "../../test/support/ports.ts";
import { openMemoryStore } from "../store/sqlite/open.ts";
import type { AuditEvent } from "../core/audit.ts";
import type { SiteName } from "../core/ids.ts";
import { Drain } from "../replication/primary/drain.ts";
import { Pace } from "../replication/primary/pace.ts";
import type { SqliteStore } from "../store/sqlite/sqlite-store.ts";
import { verifyAudit } from "./verify-audit.ts";

const reading: AuditEvent = {
  actor: { kind: "access", id: "an access" },
  action: "getEntry",
  vaultId: null,
  itemId: null,
  address: null,
  result: "ok",
};

async function read(store: SqliteStore, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await store.journal.record(reading);
}

function verify(pair: LinkedPair, store: SqliteStore) {
  const { clock } = pair;
  return verifyAudit({ store, hash: sha256Hash, clock, signal: new AbortController().signal });
}

/** One write and its drain, over real frames. */
async function ship(pair: LinkedPair): Promise<void> {
  await pair.set(pair.newEntries(1), "new");
  const never = () => new AbortController().signal;
  const drain = new Drain({
    peer: zurich,
    publicUrl: "https://calgary.example",
    store: pair.primary,
    transport: pair.transport,
    limit: { rows: 100, bytes: 1024 * 1024 },
    clock: pair.clock,
    writesInFlight: pair.writesInFlight,
    abort: never(),
    stop: never(),
    pace: new Pace({ rows: 100, bytes: 1024 * 1024 }),
    proof: { answeredAt: null, isOwed: true, isRepairOpen: false },
    owedContact: () => undefined,
    retriesQuarantined: () => false,
    onLook: () => undefined,
    onPushed: () => undefined,
    onContact: () => undefined,
    onAcknowledged: async () => undefined,
    onFault: (error) => {
      throw error;
    },
  });
  expect(await drain.run()).toMatchObject({ kind: "drained" });
}

/** A pair whose sites were read, each so many times, and hold each other's audit. */
async function pairWithAudits(count: number): Promise<LinkedPair> {
  const pair = await LinkedPair.open();
  await pair.set([pair.vault], "a vault");
  await read(pair.primary, count);
  await read(pair.backup, count);
  await ship(pair);
  return pair;
}

test("two sites that hold each other's audit both find it whole", async () => {
  const pair = await pairWithAudits(3);
  for (const store of [pair.primary, pair.backup]) {
    const { whole, records, chains } = await verify(pair, store);
    expect({ whole, records }).toEqual({ whole: true, records: 8 });
    expect(chains.map(({ site, first, last, fault }) => ({ site, first, last, fault }))).toEqual(
      expect.arrayContaining([
        { site: "calgary", first: 1, last: 4, fault: null },
        { site: "zurich", first: 1, last: 4, fault: null },
      ]),
    );
  }
});

test.each([
  ["changed", "UPDATE audit_records SET action = 'other' WHERE chain = 1 AND seq = 3", 3, "broken"],
  ["dropped", "DELETE FROM audit_records WHERE chain = 1 AND seq = 3", 3, "broken"],
  [
    "given another hash at the end",
    "UPDATE audit_records SET hash = zeroblob(32) WHERE chain = 1 AND seq = 4",
    4,
    "broken",
  ],
])("a record that was %s is found on the disk itself", async (_, sql, at, fault) => {
  const pair = await pairWithAudits(3);
  pair.behind("primary", sql);
  const { whole, chains } = await verify(pair, pair.primary);
  expect(whole).toBe(false);
  expect(chains.filter((chain) => chain.fault !== null)).toMatchObject([
    { own: true, fault, at, peer: null },
  ]);
});

/** Cuts a site's own chain off so that what is left is whole in itself. */
async function cutOff(pair: LinkedPair, side: "primary" | "backup"): Promise<void> {
  const store = pair[side];
  const own = (await store.read((r) => r.audit.chains())).find(({ isOwn }) => isOwn);
  if (!own || own.head.seq <= 2) throw new Error("no record to cut behind");
  const chain = "(SELECT id FROM audit_chains WHERE own = 1)";
  pair.behind(side, `DELETE FROM audit_records WHERE seq > 2 AND chain = ${chain}`);
}

test("a chain that was cut off shows by what the peer has shown, and then at the peer, until a new one says so", async () => {
  const pair = await pairWithAudits(3);
  await ship(pair);
  await cutOff(pair, "backup");
  expect((await verify(pair, pair.backup)).chains).toContainEqual(
    expect.objectContaining({ site: "zurich", fault: "truncated", at: 3, peer: "calgary" }),
  );
  await ship(pair);
  await ship(pair);
  for (const store of [pair.primary, pair.backup]) {
    const { whole, chains } = await verify(pair, store);
    expect(whole).toBe(true);
    expect(chains).toContainEqual(expect.objectContaining({ site: "zurich", last: 4, settled: true }));
  }
});

test("an owner who shows less of its chain than is held elsewhere is named there", async () => {
  const pair = await pairWithAudits(3);
  await ship(pair);
  const shown = (await pair.primary.read((r) => r.audit.shown())).flatMap(({ heads }) => heads);
  const own = (await pair.backup.read((r) => r.audit.chains())).find(({ isOwn }) => isOwn);
  const rest = shown.filter(({ chain }) => chain !== own?.chain);
  const [second] = own ? await pair.backup.read((r) => r.audit.records(own.chain, 1, 1)) : [];
  if (!own || !second) throw new Error("no record");
  const heads = [...rest, { chain: own.chain, head: second, held: 4 }].map(({ chain, head, held }) => [
    chain,
    head.seq,
    Buffer.from(head.hash).toString("hex"),
    held,
  ]);
  pair.behind("primary", "UPDATE audit_shown SET heads = ?", JSON.stringify(heads));
  expect((await verify(pair, pair.primary)).chains).toContainEqual(
    expect.objectContaining({ site: "zurich", fault: "truncated", at: 3, peer: "zurich" }),
  );
});

test("records that are older than is kept go, the rest proves itself, and a new site takes it from there", async () => {
  const pair = await LinkedPair.open();
  await pair.set([pair.vault], "a vault");
  const dayMs = 86_400_000;
  const { clock, random } = pair;
  const audit = { keepMs: 10 * dayMs };
  const image = pair.primary.serialize();
  const store = openMemoryStore({ image, clock, random, hash: sha256Hash, audit });
  await read(store, 30);
  await clock.advance(11 * dayMs);
  await read(store, 30);
  const [chain] = await store.read((r) => r.audit.chains());
  expect(chain).toMatchObject({ anchor: { seq: 31 }, head: { seq: 61 } });
  expect(await verify(pair, store)).toMatchObject({
    whole: true,
    records: 30,
    chains: [{ first: 32, last: 61 }],
  });
  pair.restart("primary", store.serialize());
  await store.close();
  await ship(pair);
  await ship(pair);
  expect(await verify(pair, pair.backup)).toMatchObject({ whole: true, chains: [{ first: 32, last: 61 }] });
});

test("a peer that has shown nothing yet is told where the chains stand, and sent no records", async () => {
  const pair = await pairWithAudits(1);
  expect(await pair.primary.read((r) => r.audit.partFor("oslo" as SiteName))).toMatchObject({
    heads: [{}, {}],
    records: [],
  });
});
