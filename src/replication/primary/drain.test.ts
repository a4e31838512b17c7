import { expect, test } from "vitest";
import { hookInPlace } from "../../../test/support/hook-in-place.ts";
import { calgary, LinkedPair, zurich } from "../../../test/support/linked-pair.ts";
import { samePoint } from "../../core/push.ts";
import type { Acknowledgement, BatchLimit } from "../../core/store/replication.ts";
import { encodeApplied, encodeRefused } from "../../protocol/push-frames.ts";
import { receivePush } from "../backup/apply.ts";
import { applyPath } from "../transport.ts";
import { Drain, type DrainOutcome } from "./drain.ts";
import { Pace } from "./pace.ts";
import type { ProofMemory } from "./proof.ts";

type Options = {
  readonly limit?: BatchLimit;
  /** Called when the drain lets others run. */
  readonly onTurn?: () => void;
  readonly proof?: ProofMemory;
  readonly owedContact?: number;
  readonly retries?: boolean;
  readonly transport?: LinkedPair["transport"];
  readonly onAcknowledged?: (ack: Acknowledgement) => void;
};

const mib = 1024 * 1024;
const newProof = (): ProofMemory => ({ answeredAt: null, isOwed: false, isRepairOpen: false });

function drain(pair: LinkedPair, options: Options = {}): Promise<DrainOutcome> {
  let { retries = false, owedContact } = options;
  return new Drain({
    peer: zurich,
    publicUrl: "https://calgary.example",
    store: pair.primary,
    transport: options.transport ?? pair.transport,
    limit: options.limit ?? { rows: 100, bytes: mib },
    writesInFlight: pair.writesInFlight,
    clock: {
      sleep: (ms, signal) => pair.clock.sleep(ms, signal),
      turn: () => {
        options.onTurn?.();
        return pair.clock.turn();
      },
    },
    abort: new AbortController().signal,
    stop: new AbortController().signal,
    pace: new Pace(options.limit ?? { rows: 100, bytes: mib }),
    proof: options.proof ?? newProof(),
    owedContact: () => owedContact,
    retriesQuarantined: () => {
      const wish = retries;
      retries = false;
      return wish;
    },
    onLook: () => undefined,
    onPushed: () => undefined,
    onContact: () => {
      owedContact = undefined;
    },
    onAcknowledged: async (ack) => options.onAcknowledged?.(ack),
    onFault: () => undefined,
  }).run();
}

type PushBody = {
  readonly rows: readonly object[];
  readonly digest: string | null;
  readonly points: unknown[];
};

const pushes = (pair: LinkedPair) => pair.bodiesOf(applyPath) as unknown as readonly PushBody[];
const peerOf = async (pair: LinkedPair) => {
  const [peer] = await pair.primary.read((r) => r.replication.peers());
  if (!peer) throw new Error("calgary has no peer");
  return peer;
};
const drained = { kind: "drained", aside: 0 };

/** A pair that is equal, with one vault. Its requests so far are forgotten. */
async function equalPair(): Promise<LinkedPair> {
  const pair = await LinkedPair.open();
  await pair.set([pair.vault], "a vault");
  expect(await drain(pair)).toEqual(drained);
  pair.arrived.length = 0;
  return pair;
}

test("the last push of a drain proves both sites equal, and no other asks", async () => {
  const pair = await equalPair();
  await pair.set(pair.newEntries(250), "an entry");
  const proofs: (boolean | null)[] = [];
  expect(await drain(pair, { onAcknowledged: ({ verified }) => proofs.push(verified) })).toEqual(drained);
  expect(proofs).toEqual([null, true]);
  expect(pushes(pair).map(({ digest }) => digest !== null)).toEqual([false, true]);
  const { head } = await pair.primary.read((r) => r.site.record());
  expect(await peerOf(pair)).toMatchObject({ acked: head, verified: { position: head.position } });
  expect((await pair.backup.read((r) => r.site.record())).verified?.position).toEqual(head.position);
});

test("each full batch that is acknowledged makes the next sixteen times as large, up to the byte limit", async () => {
  const pair = await equalPair();
  await pair.set(pair.newEntries(3_000), "0123456789");
  await drain(pair, { limit: { rows: 10, bytes: 10_000 } });
  const sizes = pushes(pair).map(({ rows }) => rows.length - 1);
  expect(sizes).toEqual([10, 160, 1_000, 1_000, 830]);
});

test("a batch of rows without bodies ends at 2,000 of them", async () => {
  const pair = await equalPair();
  const keys = pair.newEntries(5_000);
  await pair.set(keys, null);
  await drain(pair);
  const sizes = pushes(pair).map(({ rows }) => rows.length - 1);
  expect(sizes).toEqual([100, 1_600, 2_000, 1_300]);
});

test("in a backlog the next batch is listed and made, slice by slice, once a push has left; a drain waits for a burst only at its beginning", async () => {
  const pair = await equalPair();
  const order: string[] = [];
  const onTurn = () => order.push("turn");
  hookInPlace(pair.primary, {
    operation: (name, run) => {
      if (name === "replication.listAbove") order.push("list");
      return run();
    },
  });
  await pair.set(pair.newEntries(150), "an entry");
  await drain(pair, { onTurn });
  expect(order.splice(0)).toEqual(["turn", "list", "list"]);
  await pair.set(pair.newEntries(4_300), "an entry");
  await drain(pair, { onTurn });
  expect(order.join(" ")).toMatch(/^turn list list turn turn turn list (turn )+list list turn$/);
});

test("a batch that was made ahead is the one that arrives, whole", async () => {
  const pair = await equalPair();
  const made: number[] = [];
  const { transport } = pair;
  const prepare: typeof transport.prepare = (rows) => {
    made.push(rows.length);
    return transport.prepare(rows);
  };
  await pair.set(pair.newEntries(5_000), "an entry");
  expect(await drain(pair, { transport: { ...transport, prepare } })).toEqual(drained);
  const sizes = pushes(pair).map(({ rows }) => rows.length);
  expect(sizes.slice(2, 2 + made.length - 1)).toEqual(made.slice(0, -1));
});

test("a burst never costs more pushes than its batches and one more", async () => {
  for (const count of [1, 99, 100, 101, 500, 2_101]) {
    const pair = await equalPair();
    await pair.set(pair.newEntries(count), "an entry");
    await drain(pair);
    expect(pushes(pair).length).toBeLessThanOrEqual(Math.ceil(count / 100) + 1);
  }
});

test("a 413 halves the batch, and what was refused once is not tried again in this drain", async () => {
  const pair = await equalPair();
  await pair.set(pair.newEntries(400), "an entry");
  pair.intercept = ({ body }) =>
    (body as unknown as PushBody).rows.length > 101 ? { status: 413, body: undefined } : undefined;
  expect(await drain(pair)).toEqual(drained);
  const sizes = pushes(pair).map(({ rows }) => rows.length - 1);
  expect(sizes.slice(0, 2)).toEqual([100, 300]);
  expect(sizes.filter((size) => size > 100)).toHaveLength(2);
  expect(sizes.reduce((sum, size) => sum + size, 0) - 300 - 150).toBe(400);
});

test("what was listed while a push was on its way is not shipped where the backup turns out to stand elsewhere", async () => {
  const pair = await equalPair();
  const before = pair.backup.serialize();
  await pair.set(pair.newEntries(1_000), "an entry");
  pair.intercept = () => {
    // Its disk is put back with the third push on its way, for which the fourth was listed ahead.
    if (pushes(pair).length === 3) pair.restart("backup", before);
    return undefined;
  };
  expect(await drain(pair, { limit: { rows: 5, bytes: mib } })).toEqual(drained);
  expect((await pair.backup.survey.recount()).rows).toBe(1_001);
  expect((await peerOf(pair)).verified?.position).toEqual(
    (await pair.primary.read((r) => r.site.record())).head.position,
  );
});

test("an ACK that was lost costs one empty push that asks for the proof", async () => {
  const pair = await equalPair();
  await pair.set(pair.newEntries(3), "an entry");
  let isLost = false;
  pair.intercept = async ({ body }) => {
    if (isLost) return undefined;
    isLost = true;
    await receivePush(pair.backup, calgary, body);
    throw new Error("ECONNRESET");
  };
  expect(await drain(pair)).toMatchObject({ kind: "failed", failure: { kind: "unreachable" } });
  expect(await drain(pair)).toEqual(drained);
  expect(pushes(pair).map(({ rows, digest }) => [rows.length, digest !== null])).toEqual([
    [4, true],
    [4, true],
    [0, true],
  ]);
});

test("a backup that went back and came forward again is asked for a new proof, even at a head that was proved", async () => {
  const pair = await equalPair();
  const before = pair.backup.serialize();
  await pair.set(pair.newEntries(3), "an entry");
  const proof = newProof();
  await drain(pair, { proof });
  pair.restart("backup", before);
  let pushed = 0;
  pair.intercept = async ({ body }) => {
    pushed += 1;
    if (pushed !== 2) return undefined;
    await receivePush(pair.backup, calgary, body);
    throw new Error("ECONNRESET");
  };
  expect(await drain(pair, { proof, owedContact: 1 })).toMatchObject({ kind: "failed" });
  pair.arrived.length = 0;
  expect(await drain(pair, { proof })).toEqual(drained);
  expect(pushes(pair).at(-1)).toMatchObject({ rows: [], digest: expect.any(String) });
});

test("with nothing dirty, the head proved and no contact owed, nothing is sent", async () => {
  const pair = await equalPair();
  expect(await drain(pair)).toEqual(drained);
  expect(pair.arrived).toEqual([]);
  expect(await drain(pair, { owedContact: 1 })).toEqual(drained);
  expect(pair.arrived).toHaveLength(1);
});

test("a backup that differs is diverged until two repairs are used up; then the drain is done", async () => {
  const pair = await equalPair();
  const [key] = pair.newEntries(1);
  if (!key) throw new Error("no entry");
  await pair.set([key], "an entry");
  await drain(pair);
  pair.lose("backup", key);
  pair.behind("backup", "UPDATE digest SET buckets = zeroblob(2048)");
  const proof = newProof();
  await pair.set(pair.newEntries(1), "another");
  expect(await drain(pair, { proof })).toEqual({ kind: "diverged" });
  pair.arrived.length = 0;
  // It was found and never tried: no proof comes before the repair.
  expect(await drain(pair, { proof: newProof() })).toEqual({ kind: "diverged" });
  expect(pair.arrived).toEqual([]);
  await pair.primary.transact((tx) => tx.replication.beginRepair(zurich));
  expect(await drain(pair, { proof: newProof() })).toEqual({ kind: "diverged" });
  expect(pushes(pair)).toMatchObject([{ digest: expect.any(String) }]);
  await pair.primary.transact((tx) => tx.replication.beginRepair(zurich));
  const last = newProof();
  expect(await drain(pair, { proof: last })).toEqual(drained);
  expect(pair.arrived).toHaveLength(2);
  expect(await drain(pair, { proof: last })).toEqual(drained);
  expect(pair.arrived).toHaveLength(2);
});

test("a repair that an operator has asked for is not taken back by equal digests", async () => {
  const pair = await equalPair();
  await pair.primary.transact((tx) => tx.replication.demandRepair(zurich));
  await pair.set(pair.newEntries(1), "an entry");
  expect(await drain(pair, { owedContact: 1 })).toEqual({ kind: "diverged" });
  expect(pushes(pair)).toMatchObject([{ digest: null, except: [] }]);
  expect((await peerOf(pair)).diverged).toBe(true);
});

test("after a repair that a crash made forget, the proof is asked for once more", async () => {
  const pair = await equalPair();
  await pair.primary.transact((tx) => tx.replication.demandRepair(zurich));
  await pair.primary.transact((tx) => tx.replication.beginRepair(zurich));
  expect(await drain(pair)).toEqual(drained);
  expect(pushes(pair)).toMatchObject([{ rows: [], digest: expect.any(String) }]);
  expect(await peerOf(pair)).toMatchObject({ diverged: false, repairs: 0 });
});

test("a row that is refused only now is left out of the next proof, which comes at once", async () => {
  const pair = await equalPair();
  const [good, bad] = pair.newEntries(2);
  if (!good || !bad) throw new Error("no entries");
  await pair.set([good, bad], "an entry");
  pair.damage("primary", bad);
  expect(await drain(pair)).toEqual(drained);
  expect(pushes(pair)).toMatchObject([
    { except: [] },
    { rows: [], except: [expect.stringContaining(bad.entryId)] },
  ]);
  expect(await peerOf(pair)).toMatchObject({ diverged: false, verified: expect.anything() });
  expect((await pair.primary.read((r) => r.replication.backlog(zurich))).quarantined).toBe(1);
});

test("rows that leave quarantine are proved with all others", async () => {
  const pair = await equalPair();
  const [key] = pair.newEntries(1);
  if (!key) throw new Error("no entry");
  await pair.set([key], "an entry");
  pair.intercept = ({ body }) =>
    (body as unknown as PushBody).rows.length > 0 ? { status: 413, body: undefined } : undefined;
  expect(await drain(pair)).toEqual(drained);
  expect((await pair.primary.read((r) => r.replication.backlog(zurich))).quarantined).toBe(1);
  pair.intercept = () => undefined;
  pair.arrived.length = 0;
  expect(await drain(pair, { retries: true })).toEqual(drained);
  expect(pushes(pair)).toMatchObject([
    { rows: [expect.anything()], digest: null },
    { rows: [], digest: expect.any(String), except: [] },
  ]);
  expect((await pair.primary.read((r) => r.replication.backlog(zurich))).quarantined).toBe(0);
});

test("every point of the history travels with the rows that passed it", async () => {
  const pair = await equalPair();
  const [key] = pair.newEntries(1);
  if (!key) throw new Error("no entry");
  for (let i = 0; i < 5; i += 1) await pair.set([key], `${i}`);
  await drain(pair);
  const position = (await pair.primary.read((r) => r.site.record())).head.position;
  const points = await pair.primary.read((r) => r.site.pointsBelow(position, 100));
  for (const point of points)
    expect(await pair.backup.read((r) => r.site.firstKnown([point]))).toEqual(point);
  expect(pushes(pair)[0]?.points.map((point) => (point as string[])[0])).toEqual([
    "1:2",
    "1:3",
    "1:4",
    "1:5",
  ]);
});

test("a backup that went another way than the site that was promoted is refused as forked, and nobody is fenced", async () => {
  const pair = await equalPair();
  pair.behind("primary", "UPDATE site SET fenced = 'primary_superseded'");
  await pair.primary.transact((tx) => tx.roles.promote());
  const { site, realm, role, epoch, head } = await pair.backup.read((r) => r.site.record());
  const applied = { position: { epoch: 1, seq: 9 }, chain: new Uint8Array(32).fill(9) };
  expect(samePoint(head, applied)).toBe(false);
  pair.intercept = () => ({
    status: 409,
    body: encodeRefused("resume", { site, realm, role, epoch, applied }),
  });
  expect(await drain(pair)).toEqual({
    kind: "failed",
    failure: { kind: "refused", error: "forked" },
    progressed: false,
  });
  expect((await pair.primary.read((r) => r.site.record())).fenced).toBeNull();
});

test("a primary that has promised to hand over goes on shipping; one that is superseded does not", async () => {
  const pair = await equalPair();
  await pair.set(pair.newEntries(2), "an entry");
  await pair.primary.transact((tx) => tx.roles.grant(zurich));
  expect(await drain(pair)).toEqual(drained);
  const { site, realm, role } = await pair.backup.read((r) => r.site.record());
  const { head } = await pair.backup.read((r) => r.site.record());
  const epoch = { number: 9, id: "00000000-0000-4000-8000-000000000000" };
  const identity = { site, realm, role, epoch, applied: head };
  pair.intercept = () => ({ status: 409, body: encodeRefused("stale_epoch", identity) });
  expect(await drain(pair, { owedContact: 1 })).toEqual({ kind: "fenced" });
});

test("how many rows the backup has put aside is told with the end of the drain", async () => {
  const pair = await equalPair();
  const { site, realm, role, epoch, head } = await pair.backup.read((r) => r.site.record());
  const identity = { site, realm, role, epoch, applied: head };
  const ack = { identity, accepted: 0, ignored: 0, rejected: [], verified: true, aside: 7 };
  pair.intercept = () => ({ status: 200, body: encodeApplied(ack) });
  expect(await drain(pair, { owedContact: 1 })).toEqual({ kind: "drained", aside: 7 });
});
