import { beforeEach, expect, test } from "vitest";
import { LinkedPair, zurich } from "../../../test/support/linked-pair.ts";
import { decodeStranded } from "../../core/aside.ts";
import { isLive } from "../../core/row.ts";
import { encodeAsideReply } from "../../protocol/aside-frames.ts";
import { encodeRefused } from "../../protocol/push-frames.ts";
import { identityOf } from "../identity.ts";
import { asidePath } from "../transport.ts";
import { type AsideOutcome, collectAside } from "./aside-collection.ts";

let pair: LinkedPair;

/** A backup that has put aside so many rows which its primary never had. */
async function strand(count: number): Promise<void> {
  const keys = pair.newEntries(count);
  await pair.set(keys, "an entry");
  await pushAll();
  const { site, realm, role, epoch, head } = await pair.primary.read((r) => r.site.record());
  const from = { site, realm, role, epoch, applied: head };
  pair.behind("primary", "DELETE FROM rows WHERE kind = 'entry'");
  pair.behind("primary", "DELETE FROM history WHERE seq > 1");
  expect(await pair.backup.transact((tx) => tx.repair.apply({ from, at: head }, [], keys))).toMatchObject({
    removed: count,
  });
}

async function pushAll(): Promise<void> {
  const { head } = await pair.backup.read((r) => r.site.record());
  await pair.primary.transact((tx) => tx.replication.resumeFrom(zurich, head, []));
  const listing = await pair.primary.read((r) =>
    r.replication.listAbove(head.position, { rows: 1_000, bytes: 1024 * 1024 }, zurich),
  );
  const rows = listing.rows.map((row) => ({ kind: "row" as const, row }));
  const push = { ...listing, protocol: 1, publicUrl: "", rows };
  expect(await pair.backup.transact((tx) => tx.replication.applyPush(push))).toMatchObject({
    kind: "applied",
  });
}

function collect(stop = new AbortController()): Promise<AsideOutcome> {
  const { primary: store, transport } = pair;
  const abort = new AbortController().signal;
  return collectAside({ peer: zurich, store, transport, abort, stop: stop.signal });
}

const waiting = async () => (await pair.backup.read((r) => r.aside.waiting(1))).waiting;
const stranded = async () => (await pair.primary.read((r) => r.aside.stranded(null, 1_000))).rows;

beforeEach(async () => {
  pair = await LinkedPair.open();
  await pair.set([pair.vault], "a vault");
  await pushAll();
  pair.arrived.length = 0;
});

test("what a backup has put aside becomes stranded rows of this site, page by page, and waits there no more", async () => {
  await strand(250);
  expect(await collect()).toEqual({ kind: "collected", written: true });
  expect(await waiting()).toBe(0);
  const rows = await stranded();
  expect(rows).toHaveLength(250);
  expect(rows.filter(isLive).map(({ body }) => decodeStranded(body).site)).toEqual(Array(250).fill(zurich));
  const steps = pair.bodiesOf(asidePath).map(({ step }) => step);
  expect(steps).toEqual(["list", "settle", "list", "settle", "list", "settle"]);
});

test("a purge that is made again here is kept there until it comes back by a push", async () => {
  const [key] = pair.newEntries(1);
  if (!key) throw new Error("no entry");
  await pair.set([key], "an entry");
  await pushAll();
  const before = pair.primary.serialize();
  await pair.set([key], null);
  await pushAll();
  pair.restart("primary", before);
  const from = identityOf(await pair.primary.read((r) => r.site.record()));
  const live = await pair.primary.read((r) => r.repair.rowsOf([key]));
  const { head: at } = await pair.backup.read((r) => r.site.record());
  expect(await pair.backup.transact((tx) => tx.repair.apply({ from, at }, live, []))).toMatchObject({
    replaced: 1,
  });
  expect(await collect()).toEqual({ kind: "collected", written: true });
  expect((await pair.primary.read((r) => r.rows.row(key)))?.body).toBeNull();
  expect(pair.bodiesOf(asidePath).at(-1)).toMatchObject({ struck: [], taken: [expect.any(String)] });
});

test("a settlement that was lost strands nothing twice", async () => {
  await strand(3);
  pair.intercept = ({ body }) => {
    if (body["step"] === "settle") throw Object.assign(new Error("cut"), { code: "ECONNRESET" });
    return undefined;
  };
  expect(await collect()).toEqual({ kind: "failed", failure: { kind: "unreachable", error: "ECONNRESET" } });
  pair.intercept = () => undefined;
  expect(await collect()).toEqual({ kind: "collected", written: false });
  expect(await stranded()).toHaveLength(3);
  expect(await waiting()).toBe(0);
});

test.each(["primary_behind", "primary_superseded", "promotion_granted"])(
  "a site that is fenced as %s decides nothing",
  async (fence) => {
    await strand(1);
    pair.behind("primary", "UPDATE site SET fenced = ?", fence);
    expect(await collect()).toEqual({ kind: "collected", written: false });
    expect(pair.bodiesOf(asidePath)).toEqual([]);
    expect(await waiting()).toBe(1);
  },
);

test("a backup that settles nothing ends the collection as a failed attempt", async () => {
  await strand(1);
  const { rows } = await pair.backup.read((r) => r.aside.waiting(1));
  const identity = identityOf(await pair.backup.read((r) => r.site.record()));
  pair.intercept = () => ({ status: 200, body: encodeAsideReply(identity, { rows, waiting: 1 }) });
  expect(await collect()).toMatchObject({ kind: "failed", failure: { kind: "unreachable" } });
  expect(pair.arrived).toHaveLength(2);
});

test("an answer of a higher epoch fences this site, and nothing is decided", async () => {
  await strand(1);
  const epoch = { number: 7, id: "00000000-0000-4000-8000-000000000000" };
  const identity = { ...identityOf(await pair.backup.read((r) => r.site.record())), epoch };
  pair.intercept = () => ({ status: 409, body: encodeRefused("stale_epoch", identity) });
  expect(await collect()).toEqual({ kind: "fenced" });
  expect((await pair.primary.read((r) => r.site.record())).fenced).toBe("primary_superseded");
  expect(await stranded()).toEqual([]);
});

test("a collection that is stopped begins no further page", async () => {
  await strand(150);
  const stop = new AbortController();
  pair.intercept = ({ body }) => {
    if (body["step"] === "settle") stop.abort();
    return undefined;
  };
  expect(await collect(stop)).toEqual({ kind: "collected", written: true });
  expect(await waiting()).toBe(50);
});
