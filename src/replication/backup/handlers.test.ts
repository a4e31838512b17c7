import { beforeEach, describe, expect, it } from "vitest";
import { hooked } from "../../../test/support/hooked-store.ts";
import { calgary, LinkedPair, zurich } from "../../../test/support/linked-pair.ts";
import type { EditionReply } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { RepairStep } from "../../core/ports.ts";
import { origin } from "../../core/position.ts";
import type { Identity } from "../../core/push.ts";
import { encodeAside, readAsideReply } from "../../protocol/aside-frames.ts";
import { readIdentity } from "../../protocol/identity-frames.ts";
import { encodeRepair, readRepairReply } from "../../protocol/repair-frames.ts";
import { encodeLocate, readLocateReply } from "../../protocol/role-frames.ts";
import { identityOf } from "../identity.ts";
import { answerRows } from "./answer-rows.ts";
import { receiveAside } from "./aside.ts";
import { receiveLocate } from "./locate.ts";
import { receiveRepair } from "./repair.ts";

let pair: LinkedPair;
let sender: Identity;

beforeEach(async () => {
  pair = await LinkedPair.open();
  await pair.set([pair.vault, ...pair.newEntries(20)], "a row");
  const listing = await pair.primary.read((r) =>
    r.replication.listAbove(origin.position, { rows: 100, bytes: 1024 * 1024 }, zurich),
  );
  const rows = listing.rows.map((row) => ({ kind: "row" as const, row }));
  await pair.backup.transact((tx) =>
    tx.replication.applyPush({ ...listing, after: origin, protocol: 1, publicUrl: "", rows }),
  );
  sender = identityOf(await pair.primary.read((r) => r.site.record()));
});

type Receive = (from: Identity, peer?: SiteName) => Promise<EditionReply>;

const parsed = (json: string): Record<string, unknown> => JSON.parse(json) as Record<string, unknown>;
const recount: RepairStep = { step: "recount" };
const head = async () => (await pair.backup.read((r) => r.site.record())).head;

async function repairOf(step: RepairStep, from = sender, peer = calgary): Promise<EditionReply> {
  return receiveRepair(pair.backup, peer, parsed(encodeRepair({ ...step, from, at: await head() })));
}

const receivers: Readonly<Record<string, Receive>> = {
  repair: (from, peer) => repairOf(recount, from, peer),
  aside: async (from, peer = calgary) =>
    receiveAside(
      pair.backup,
      peer,
      parsed(encodeAside({ identity: from, step: { step: "list", limit: 1 } })),
    ),
  locate: async (from, peer = calgary) =>
    receiveLocate(pair.backup, peer, parsed(encodeLocate({ identity: from, points: [origin] }))),
};

const codeOf = (error: unknown) => (error instanceof Refusal ? error.code : error);

describe.each(Object.entries(receivers))("a message to %s", (name, receive) => {
  it("is answered with who this site is, and where it stands", async () => {
    const reply = await receive(sender);
    expect(reply.status).toBe(200);
    expect(readIdentity(reply.body)).toEqual(identityOf(await pair.backup.read((r) => r.site.record())));
  });

  it("in another site's name than the credential's is nobody's", async () => {
    expect(await receive(sender, zurich).catch(codeOf)).toBe("unauthorized");
  });

  it("of another realm, or of none, learns nothing but that, and its epoch is no measure", async () => {
    const other = "00000000-0000-4000-8000-000000000000" as Exclude<Identity["realm"], null>;
    for (const realm of [other, null]) {
      const reply = await receive({ ...sender, realm, epoch: { number: 9, id: "z" } });
      expect(reply).toMatchObject({ status: 409, body: { code: "other_realm", site: zurich } });
    }
    expect((await pair.backup.read((r) => r.site.record())).epochSeen).toEqual(sender.epoch);
  });

  it("that names a higher epoch has it recorded, whatever comes of it", async () => {
    const epoch = { number: 9, id: "00000000-0000-4000-8000-000000000000" };
    await receive({ ...sender, epoch });
    expect((await pair.backup.read((r) => r.site.record())).epochSeen).toEqual(epoch);
  });

  it("that cannot be read is refused by the names of what is wrong", async () => {
    const receivePart = { repair: receiveRepair, aside: receiveAside, locate: receiveLocate }[name];
    const error = await receivePart?.(pair.backup, calgary, { protocol: 1, site: 3 }).catch(
      (thrown: unknown) => thrown,
    );
    expect(codeOf(error)).toBe("invalid_request");
    expect((error as Refusal).mistakes.map(({ path }) => path)).toContain("site");
    const newer = await receivePart?.(pair.backup, calgary, { protocol: 2 });
    expect(newer).toMatchObject({ status: 409, body: { code: "protocol_unsupported", site: zurich } });
  });
});

it.each(["repair", "aside"])(
  "%s is no business of a site that is not the primary of its epoch",
  async (name) => {
    const oslo = "oslo" as SiteName;
    const before = await pair.backup.read((r) => r.site.record());
    for (const epoch of [sender.epoch, { ...sender.epoch, number: 0 }]) {
      const reply = await receivers[name]?.({ ...sender, site: oslo, epoch }, oslo);
      const code = epoch === sender.epoch ? "other_primary" : "stale_epoch";
      expect(reply).toMatchObject({ status: 409, body: { code, site: zurich } });
    }
    expect(await pair.backup.read((r) => r.site.record())).toEqual(before);
  },
);

describe("a step of a repair", () => {
  it("of a lower epoch, or from a point where this site does not stand, is refused and changes nothing", async () => {
    await pair.backup.transact((tx) =>
      tx.site.recordEpoch({ number: 2, id: "00000000-0000-4000-8000-000000000000" }),
    );
    expect(await repairOf(recount)).toMatchObject({ status: 409, body: { code: "stale_epoch" } });
    const elsewhere = parsed(
      encodeRepair({
        ...recount,
        from: { ...sender, epoch: { number: 2, id: "00000000-0000-4000-8000-000000000000" } },
        at: origin,
      }),
    );
    expect(await receiveRepair(pair.backup, calgary, elsewhere)).toMatchObject({ body: { code: "resume" } });
    const [key] = pair.newEntries(1);
    if (!key) throw new Error("no entry");
    const remove = { step: "apply", rows: [], remove: [pair.vault] } as const;
    expect(await repairOf(remove)).toMatchObject({ status: 409 });
    expect(await pair.backup.read((r) => r.rows.row(pair.vault))).toBeDefined();
  });

  it("that counts rows which moved on meanwhile is refused", async () => {
    const moving = hooked(pair.backup, {
      operation: async (name, run) => {
        if (name === "survey.recount") await fill(1);
        return run();
      },
    });
    const body = parsed(encodeRepair({ ...recount, from: sender, at: await head() }));
    expect(await receiveRepair(moving, calgary, body)).toMatchObject({
      status: 409,
      body: { code: "resume" },
    });
  });

  it("lists the rows of the buckets that are asked for, each once, over pages", async () => {
    await fill(2_500);
    const buckets = Array.from({ length: 256 }, (_, number) => 255 - number);
    const listed: string[] = [];
    const pages: number[] = [];
    let after = null;
    do {
      const { body } = await repairOf({ step: "list", buckets, after });
      const reply = readRepairReply(JSON.parse(JSON.stringify(body)));
      if (reply?.step !== "list") throw new Error("no list");
      listed.push(...reply.rows.map(({ key }) => JSON.stringify(key)));
      pages.push(reply.rows.length);
      after = reply.next;
    } while (after !== null);
    expect(new Set(listed).size).toBe(2_521);
    expect(listed).toHaveLength(2_521);
    expect(pages.slice(0, -1)).toEqual([2_000]);
  });

  it("fetches what is there, no more than one answer carries, and at least one", async () => {
    const large = pair.newEntries(4);
    await fillWith(large, "x".repeat(600_000));
    const [missing] = pair.newEntries(1);
    if (!missing) throw new Error("no entry");
    const { body } = await repairOf({ step: "fetch", keys: [missing, ...large] });
    expect(readRepairReply(JSON.parse(JSON.stringify(body)))).toMatchObject({ rows: [{ key: large[0] }] });
  });
});

async function fill(count: number): Promise<void> {
  await fillWith(pair.newEntries(count), "x");
}

/** Rows that both sides get. */
async function fillWith(keys: ReturnType<LinkedPair["newEntries"]>, text: string): Promise<void> {
  await pair.set(keys, text);
  const { position } = await head();
  const listing = await pair.primary.read((r) =>
    r.replication.listAbove(position, { rows: 100_000, bytes: 1024 ** 3 }, zurich),
  );
  const rows = listing.rows.map((row) => ({ kind: "row" as const, row }));
  const push = { ...listing, protocol: 1, publicUrl: "", rows };
  expect(await pair.backup.transact((tx) => tx.replication.applyPush(push))).toMatchObject({
    kind: "applied",
    verified: true,
  });
}

describe("rows that were put aside", () => {
  const ask = (step: Parameters<typeof encodeAside>[0]["step"], identity = sender) =>
    receiveAside(pair.backup, calgary, parsed(encodeAside({ identity, step })));

  beforeEach(async () => {
    const keys = pair.newEntries(5);
    await fillWith(keys, "x".repeat(300_000));
    const guard = { from: identityOf(await pair.primary.read((r) => r.site.record())), at: await head() };
    expect(await pair.backup.transact((tx) => tx.repair.apply(guard, [], keys))).toMatchObject({
      removed: 5,
    });
  });

  it("are shown to the primary, no more than one answer carries, and settled as it says", async () => {
    const shown = await ask({ step: "list", limit: 100 });
    const reply = readAsideReply(JSON.parse(JSON.stringify(shown.body)));
    expect([reply?.rows.length, reply?.waiting]).toEqual([3, 5]);
    const [first, second] = reply?.rows ?? [];
    if (!first || !second) throw new Error("nothing was shown");
    const settled = await ask({ step: "settle", struck: [first.id], taken: [second.id] });
    expect(readAsideReply(JSON.parse(JSON.stringify(settled.body)))).toEqual({ rows: [], waiting: 3 });
  });

  it("are decided on by no primary that was superseded, and by none whose epoch has not been pushed here", async () => {
    const settle = { step: "settle", struck: [], taken: [] } as const;
    const next = { number: 2, id: "00000000-0000-4000-8000-000000000000" };
    expect(await ask(settle, { ...sender, epoch: next })).toMatchObject({
      status: 409,
      body: { code: "resume" },
    });
    expect(await ask(settle)).toMatchObject({ status: 409, body: { code: "stale_epoch" } });
    expect((await pair.backup.read((r) => r.aside.waiting(1))).waiting).toBe(5);
  });

  it("are none of a primary's to show", async () => {
    const at = { ...identityOf(await pair.backup.read((r) => r.site.record())), site: calgary };
    const reply = await receiveAside(
      pair.primary,
      calgary,
      parsed(encodeAside({ identity: at, step: { step: "list", limit: 1 } })),
    );
    expect(reply).toMatchObject({ status: 409, body: { code: "not_a_backup" } });
  });
});

it("one row always goes into an answer, however much it weighs", () => {
  expect(answerRows([9e9, 1], (bytes) => bytes)).toEqual([9e9]);
  expect(answerRows([], () => 1)).toEqual([]);
});

it("locating names the first of the points that this history went through, and the timeline", async () => {
  const stranger = { position: { epoch: 1, seq: 900 }, chain: new Uint8Array(32).fill(1) };
  const points = [stranger, await head(), origin];
  const body = parsed(encodeLocate({ identity: sender, points }));
  const reply = await receiveLocate(pair.backup, calgary, body);
  expect(readLocateReply(JSON.parse(JSON.stringify(reply.body)))).toEqual({
    timeline: await pair.primary.read((r) => r.site.timeline()),
    common: await head(),
  });
  const none = parsed(encodeLocate({ identity: sender, points: [stranger] }));
  expect((await receiveLocate(pair.backup, calgary, none)).body).toMatchObject({ common: null });
});
