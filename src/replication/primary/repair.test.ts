import { beforeEach, expect, test } from "vitest";
import { type Arrived, calgary, LinkedPair, zurich } from "../../../test/support/linked-pair.ts";
import { sha256Hash } from "../../../test/support/ports.ts";
import { bucketOf } from "../../core/digest.ts";
import type { RowKey } from "../../core/row.ts";
import type { BatchLimit } from "../../core/store/replication.ts";
import { encodeRefused } from "../../protocol/push-frames.ts";
import { encodeRepairReply } from "../../protocol/repair-frames.ts";
import { identityOf } from "../identity.ts";
import { repairPath } from "../transport.ts";
import { Drain, type DrainOutcome } from "./drain.ts";
import { Pace } from "./pace.ts";
import { Repair, type RepairOutcome } from "./repair.ts";

type EntryKey = RowKey & { kind: "entry" };
type RepairBody = {
  readonly step: string;
  readonly rows: readonly object[];
  readonly remove: readonly string[];
};

const mib = 1024 * 1024;
let pair: LinkedPair;
let keys: readonly EntryKey[];

beforeEach(async () => {
  pair = await LinkedPair.open();
  await pair.set([pair.vault], "a vault");
  keys = pair.newEntries(40);
  await pair.set(keys, "an entry");
  expect(await drain()).toEqual({ kind: "drained", aside: 0 });
  pair.arrived.length = 0;
});

const never = (): AbortSignal => new AbortController().signal;

async function drain(): Promise<DrainOutcome> {
  const outcome = await new Drain({
    peer: zurich,
    publicUrl: "https://calgary.example",
    store: pair.primary,
    transport: pair.transport,
    limit: { rows: 100, bytes: mib },
    clock: pair.clock,
    writesInFlight: pair.writesInFlight,
    abort: never(),
    stop: never(),
    pace: new Pace({ rows: 100, bytes: mib }),
    proof: { answeredAt: null, isOwed: true, isRepairOpen: false },
    owedContact: () => undefined,
    retriesQuarantined: () => false,
    onLook: () => undefined,
    onPushed: () => undefined,
    onContact: () => undefined,
    onAcknowledged: async () => undefined,
    onFault: () => undefined,
  }).run();
  // As a worker does before it sleeps.
  await pair.primary.acknowledgements.settle();
  return outcome;
}

function repair(limit: BatchLimit = { rows: 100, bytes: mib }): Promise<RepairOutcome> {
  return new Repair({
    peer: zurich,
    store: pair.primary,
    transport: pair.transport,
    limit,
    abort: never(),
    stop: never(),
    onSent: () => undefined,
    onContact: () => undefined,
  }).run();
}

function key(index: number): EntryKey {
  const found = keys[index];
  if (!found) throw new Error(`there is no entry ${index}`);
  return found;
}

const steps = () => (pair.bodiesOf(repairPath) as unknown as readonly RepairBody[]).map(({ step }) => step);
const applied = () =>
  (pair.bodiesOf(repairPath) as unknown as readonly RepairBody[]).filter(({ step }) => step === "apply");

async function expectEqual(): Promise<void> {
  const [own, theirs] = [await pair.primary.survey.recount(), await pair.backup.survey.recount()];
  expect(own.buckets.differing(theirs.buckets)).toEqual([]);
  expect([own.damaged, theirs.damaged, own.rows]).toEqual([[], [], theirs.rows]);
}

const counts = { repaired: 0, removed: 0, healed: 0, hopeless: 0 };

test("equal sites exchange one count of their rows and nothing else", async () => {
  expect(await repair()).toEqual({ kind: "repaired", counts });
  expect(steps()).toEqual(["recount"]);
});

test("what is lost, damaged or too much on the backup, and what is damaged here, is put right and counted", async () => {
  for (const index of [0, 1, 2]) pair.lose("backup", key(index));
  for (const index of [3, 4]) pair.damage("backup", key(index));
  pair.lose("primary", key(5));
  for (const index of [6, 7]) pair.damage("primary", key(index));
  expect(await repair()).toEqual({
    kind: "repaired",
    counts: { repaired: 5, removed: 1, healed: 2, hopeless: 0 },
  });
  await expectEqual();
  expect(
    new TextDecoder().decode((await pair.primary.read((r) => r.rows.row(key(6))))?.body ?? undefined),
  ).toBe("an entry");
  const { rows } = await pair.backup.read((r) => r.aside.waiting(100));
  expect(rows.map((row) => row.key)).toEqual([key(5)]);
});

test("a row that nobody has intact is shipped by nobody and counted", async () => {
  for (const side of ["primary", "backup"] as const) pair.damage(side, key(0));
  pair.damage("primary", key(1));
  pair.lose("backup", key(1));
  expect(await repair()).toEqual({ kind: "repaired", counts: { ...counts, hopeless: 2 } });
  expect(applied()).toEqual([]);
});

test("rows are shipped in batches of the byte limit, and a large one alone", async () => {
  for (const index of [0, 1, 2, 3, 4]) pair.lose("backup", key(index));
  await repair({ rows: 100, bytes: 16 });
  expect(applied().map(({ rows }) => rows.length)).toEqual(expect.arrayContaining([1, 2]));
  expect(applied().every(({ rows }) => rows.length <= 2)).toBe(true);
  await expectEqual();
  pair.lose("backup", key(0));
  pair.arrived.length = 0;
  await repair({ rows: 100, bytes: 1 });
  expect(applied().map(({ rows }) => rows.length)).toEqual([1]);
  await expectEqual();
});

test("a 413 halves a batch until it passes, and one row that never does is passed over", async () => {
  for (const index of [0, 1, 2, 3, 4, 5, 6, 7]) pair.lose("backup", key(index));
  pair.intercept = ({ body }) => {
    const { step, rows } = body as unknown as RepairBody;
    const isLarge = JSON.stringify(rows ?? []).includes(key(0).entryId) || (rows?.length ?? 0) > 2;
    return step === "apply" && isLarge ? { status: 413, body: undefined } : undefined;
  };
  expect(await repair()).toMatchObject({ kind: "repaired", counts: { repaired: 7 } });
  pair.intercept = () => undefined;
  expect(await repair()).toMatchObject({ kind: "repaired", counts: { repaired: 1 } });
  await expectEqual();
});

test("a row written since the last ACK is left to the drain, whatever the backup has of it", async () => {
  pair.damage("backup", key(0));
  await pair.set([key(0), ...pair.newEntries(3)], "written since");
  expect(await repair()).toEqual({ kind: "repaired", counts });
  expect(applied()).toEqual([]);
  await drain();
  await expectEqual();
});

test("a row that is written while the two sides are compared is left to the drain", async () => {
  pair.lose("backup", key(0));
  pair.intercept = async ({ body }) => {
    if (body["step"] === "list") await pair.set([key(0)], "written meanwhile");
    return undefined;
  };
  expect(await repair()).toEqual({ kind: "repaired", counts });
  expect(applied()).toEqual([]);
});

test("a bucket with more rows than one listing is compared as a whole", async () => {
  const many: EntryKey[] = [];
  while (many.length < 1_001) {
    many.push(...pair.newEntries(1_000).filter((entry) => bucketOf(sha256Hash, entry) === 7));
  }
  await pair.set(many, "an entry");
  await drain();
  pair.behind("backup", "DELETE FROM rows WHERE kind = 'entry'");
  await repair();
  await expectEqual();
});

test("a row that the backup refuses is not offered to it again", async () => {
  await pair.set([key(0)], "x");
  pair.damage("primary", key(0));
  await drain();
  expect((await pair.primary.read((r) => r.replication.backlog(zurich))).quarantined).toBe(1);
  pair.arrived.length = 0;
  expect(await repair()).toEqual({ kind: "repaired", counts });
  expect(applied()).toEqual([]);
});

test("a backup that does not stand at acked any more refuses every step, and nothing changes", async () => {
  pair.lose("backup", key(0));
  await pair.set([key(1)], "moved on");
  pair.intercept = async ({ body }) => {
    // The step arrives after a push that the primary has not heard the answer of.
    if (body["step"] === "apply") await pushAll();
    return undefined;
  };
  expect(await repair()).toMatchObject({
    kind: "failed",
    failure: { kind: "unreachable", error: "resume" },
    counts: { repaired: 0 },
  });
  expect(await pair.backup.read((r) => r.rows.row(key(0)))).toBeUndefined();
});

/** Pushes all there is without telling the primary. */
async function pushAll(): Promise<void> {
  const { head } = await pair.backup.read((r) => r.site.record());
  const listing = await pair.primary.read((r) =>
    r.replication.listAbove(head.position, { rows: 100, bytes: mib }, zurich),
  );
  const { rows, after, through, points, site, realm, epoch, timeline } = listing;
  const push = {
    protocol: 1,
    realm,
    site,
    publicUrl: "",
    epoch,
    timeline,
    after,
    through,
    points,
    digest: null,
    except: [],
    rows: rows.map((row) => ({ kind: "row" as const, row })),
  };
  expect(await pair.backup.transact((tx) => tx.replication.applyPush(push))).toMatchObject({
    kind: "applied",
  });
}

test("a cut at any step is a failed attempt that tells what was moved before, and the next repair ends equal", async () => {
  for (let cutAt = 1; cutAt <= 5; cutAt += 1) {
    pair.lose("backup", key(cutAt));
    pair.damage("primary", key(10 + cutAt));
    let request = 0;
    pair.intercept = () => {
      request += 1;
      if (request === cutAt) throw Object.assign(new Error("cut"), { code: "ECONNRESET" });
      return undefined;
    };
    const outcome = await repair();
    if (request >= cutAt) {
      expect(outcome).toMatchObject({
        kind: "failed",
        failure: { kind: "unreachable", error: "ECONNRESET" },
      });
    }
    pair.intercept = () => undefined;
    expect(await repair()).toMatchObject({ kind: "repaired" });
    await expectEqual();
  }
});

test("an answer of a higher epoch fences this site before anything it says is believed", async () => {
  const identity = identityOf(await pair.backup.read((r) => r.site.record()));
  const epoch = { number: 7, id: "00000000-0000-4000-8000-000000000000" };
  pair.intercept = () => ({ status: 409, body: encodeRefused("stale_epoch", { ...identity, epoch }) });
  expect(await repair()).toMatchObject({ kind: "fenced" });
  expect((await pair.primary.read((r) => r.site.record())).fenced).toBe("primary_superseded");
});

test("another site's answer, and one of another realm, is no answer of this backup", async () => {
  const identity = identityOf(await pair.backup.read((r) => r.site.record()));
  for (const [stranger, error] of [
    [{ ...identity, site: calgary }, "calgary answered in its place"],
    [{ ...identity, realm: "00000000-0000-4000-8000-000000000000" as typeof identity.realm }, "other_realm"],
  ] as const) {
    pair.intercept = () => ({ status: 409, body: encodeRefused("not_a_backup", stranger) });
    expect(await repair()).toMatchObject({ kind: "failed", failure: { kind: "refused", error } });
  }
});

test("a list that has more rows than were counted, or does not end, is nonsense", async () => {
  pair.lose("backup", key(0));
  pair.intercept = async ({ body }) => {
    if (body["step"] !== "list") return undefined;
    const summary = { key: key(1), position: { epoch: 1, seq: 1 }, hash: new Uint8Array(32), isIntact: true };
    const reply = { step: "list" as const, rows: [summary], next: { bucket: 1, key: key(1) } };
    return {
      status: 200,
      body: encodeRepairReply(identityOf(await pair.backup.read((r) => r.site.record())), reply),
    };
  };
  expect(await repair()).toMatchObject({ failure: { error: "the answer makes no sense" } });
});

test("a list that does not go upwards, or goes on behind nothing, is nonsense and asked no further", async () => {
  pair.lose("backup", key(0));
  const identity = identityOf(await pair.backup.read((r) => r.site.record()));
  const bucket = bucketOf(sha256Hash, key(0));
  const summary = { key: key(1), position: { epoch: 1, seq: 1 }, hash: new Uint8Array(32), isIntact: true };
  const isListed = ({ body }: Arrived) => body["step"] === "list";
  const [lower, upper] = [key(1), key(2)].toSorted((a, b) => (a.entryId < b.entryId ? -1 : 1));
  for (const [rows, cursors, asked] of [
    [[summary], [upper, upper], 2],
    [[summary], [upper, lower], 2],
    [[], [upper], 1],
  ] as const) {
    pair.arrived.length = 0;
    pair.intercept = (request) => {
      if (!isListed(request)) return undefined;
      const next = cursors[pair.arrived.filter(isListed).length - 1];
      if (!next) throw new Error("the list is asked for once more");
      const reply = { step: "list" as const, rows, next: { bucket, key: next } };
      return { status: 200, body: encodeRepairReply(identity, reply) };
    };
    expect(await repair()).toMatchObject({ failure: { error: "the answer makes no sense" } });
    expect(pair.arrived.filter(isListed)).toHaveLength(asked);
  }
});

test("a repair that is stopped begins no further step", async () => {
  pair.lose("backup", key(0));
  const stop = new AbortController();
  pair.intercept = ({ body }) => {
    if (body["step"] === "list") stop.abort();
    return undefined;
  };
  const stopped = new Repair({
    peer: zurich,
    store: pair.primary,
    transport: pair.transport,
    limit: { rows: 100, bytes: mib },
    abort: never(),
    stop: stop.signal,
    onSent: () => undefined,
    onContact: () => undefined,
  });
  expect(await stopped.run()).toMatchObject({
    kind: "failed",
    failure: { kind: "local", error: "stopping" },
  });
  expect(steps()).toEqual(["recount", "list"]);
});

test("more differing rows than fit into one list are found on every page", async () => {
  const many = pair.newEntries(3_000);
  await pair.set(many, "an entry");
  await drain();
  pair.behind("backup", "DELETE FROM rows WHERE kind = 'entry'");
  pair.arrived.length = 0;
  expect(await repair({ rows: 100, bytes: 20_000 })).toMatchObject({ counts: { repaired: 3_040 } });
  await expectEqual();
  expect(applied().length).toBeGreaterThanOrEqual(2);
  pair.behind("primary", "DELETE FROM rows WHERE kind = 'entry'");
  expect(await repair()).toMatchObject({ counts: { removed: 3_040 } });
  await expectEqual();
  expect((await pair.backup.read((r) => r.aside.waiting(1))).waiting).toBe(3_040);
});
