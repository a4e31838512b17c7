import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hooked } from "../../../test/support/hooked-store.ts";
import { SeededRandom, sha256Hash, VirtualClock } from "../../../test/support/ports.ts";
import { isSiteName, type SiteName } from "../../core/ids.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import { siteImage } from "../../store/sqlite/new-site.ts";
import { openMemoryStore } from "../../store/sqlite/open.ts";
import { createLogger, type Logger } from "../logging.ts";
import { AlertDesk } from "./alert-desk.ts";
import { WebhookChannel } from "./webhook-channel.ts";

function siteName(name: string): SiteName {
  if (!isSiteName(name)) throw new Error("no site's name");
  return name;
}

const site = siteName("calgary");
const day = 86_400_000;

/** A receiver of webhooks whose mood a test sets. It keeps what it was sent, taken or not. */
class Receiver {
  status = 200;
  readonly taken: string[] = [];
  readonly refused: string[] = [];
  readonly bodies: Record<string, string>[] = [];
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #expecting: (() => void)[] = [];

  async open(port = 0): Promise<string> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook?key=SECRET`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** Resolves when so many requests have come in all. */
  async requests(count: number): Promise<void> {
    while (this.bodies.length < count) {
      await new Promise<void>((resolve) => this.#expecting.push(resolve));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(request)) as Record<string, string>;
    const { status } = this;
    (status < 300 ? this.taken : this.refused).push(`${body["event"]} ${body["message"]}`);
    this.bodies.push(body);
    if (status !== 0) response.writeHead(status).end();
    for (const tell of this.#expecting.splice(0)) tell();
  }
}

let clock: VirtualClock;
let random: SeededRandom;
let store: Store;
let receiver: Receiver;
let url: string;
let log: Logger;
let lines: string[];
let desks: AlertDesk[];

beforeEach(async () => {
  clock = new VirtualClock();
  random = new SeededRandom(1);
  const image = siteImage({ site, role: "primary", clock, random });
  store = openMemoryStore({ image, clock, random, hash: sha256Hash });
  receiver = new Receiver();
  url = await receiver.open();
  lines = [];
  log = await createLogger({
    site,
    format: "json",
    level: "debug",
    output: { write: (line) => void lines.push(line) },
  });
  desks = [];
});

afterEach(async () => {
  for (const desk of desks) await desk.stop();
  await receiver[Symbol.asyncDispose]();
  await store.close();
  expect(clock.sleeping).toBe(0);
  expect(lines.join("")).not.toContain("SECRET");
});

function openDesk(to: string = url, over: Transacts<"alerts"> = store): AlertDesk {
  const desk = new AlertDesk({
    store: over,
    clock,
    random,
    log,
    channels: [new WebhookChannel({ url: to, site, timeoutMs: 2_000 })],
  });
  desks.push(desk);
  desk.start();
  return desk;
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await clock.turn();
}

const undelivered = async (): Promise<number> =>
  (await store.read((r) => r.alerts.undelivered("webhook", 0))).length;

async function fail(desk: AlertDesk, subject: string): Promise<void> {
  await desk.raise("replication_failed", subject, `${subject} fails`, { backup: subject });
}

async function recover(desk: AlertDesk, subject: string): Promise<void> {
  await desk.raise("replication_recovered", subject, `${subject} is back`, { backup: subject });
}

describe("telling", () => {
  test("an incident is stored, logged and delivered once, and so is its end", async () => {
    const desk = openDesk();
    for (let i = 0; i < 3; i += 1) await fail(desk, "zurich");
    for (let i = 0; i < 3; i += 1) await recover(desk, "zurich");
    await receiver.requests(2);
    await settle();
    expect(receiver.taken).toEqual([
      "replication_failed zurich fails",
      "replication_recovered zurich is back",
    ]);
    expect(receiver.bodies[0]?.["incident"]).toBe(receiver.bodies[1]?.["incident"]);
    expect((await store.read((r) => r.alerts.newest(9))).map(({ event }) => event)).toEqual([
      "replication_recovered",
      "replication_failed",
    ]);
    const told = lines.map((line) => JSON.parse(line) as { level: string; msg: string });
    expect(told.map(({ level, msg }) => `${level} ${msg}`)).toEqual([
      "error zurich fails",
      "info zurich is back",
    ]);
  });

  test("incidents of two backups are two incidents", async () => {
    const desk = openDesk();
    await fail(desk, "zurich");
    await fail(desk, "oslo");
    await receiver.requests(2);
    expect(receiver.bodies[0]?.["incident"]).not.toBe(receiver.bodies[1]?.["incident"]);
  });

  test("without channels alerts are stored and logged", async () => {
    const desk = new AlertDesk({ store, clock, random, log, channels: [] });
    desk.start();
    await fail(desk, "zurich");
    expect(await store.read((r) => r.alerts.newest(9))).toHaveLength(1);
    expect(lines).toHaveLength(1);
    await desk.stop();
  });
});

describe("a channel that is down", () => {
  test("delays nobody, is tried after 1, 5, 25, 125 and 625 s and then every 15 min, and gets all in order when it is back", async () => {
    receiver.status = 500;
    const desk = openDesk();
    await fail(desk, "zurich");
    const planned = [1, 5, 25, 125, 625, 900, 900, 900];
    for (const [i, seconds] of planned.entries()) {
      await receiver.requests(i + 1);
      const waitMs = await clock.untilSleeping();
      expect(Math.abs(waitMs - seconds * 1_000)).toBeLessThanOrEqual(seconds * 100);
      await clock.advance(waitMs);
    }
    await receiver.requests(planned.length + 1);
    await clock.untilSleeping();
    receiver.status = 204;
    await recover(desk, "zurich");
    await clock.advance(1_000);
    await receiver.requests(planned.length + 3);
    await settle();
    expect(receiver.taken).toEqual([
      "replication_failed zurich fails",
      "replication_recovered zurich is back",
    ]);
    expect(await undelivered()).toBe(0);
    expect(clock.sleeping).toBe(0);
  });

  test("is told of in the log twice and once when it works again, not at every attempt", async () => {
    receiver.status = 500;
    const desk = openDesk();
    await fail(desk, "zurich");
    for (let i = 1; i <= 9; i += 1) {
      await receiver.requests(i);
      await clock.advance(await clock.untilSleeping());
    }
    await receiver.requests(10);
    receiver.status = 200;
    await clock.advance(await clock.untilSleeping());
    await receiver.requests(11);
    await settle();
    const shown = lines.map((line) => JSON.parse(line) as { level: string }).map(({ level }) => level);
    expect(shown.filter((level) => level !== "debug")).toEqual(["error", "warn", "error", "info"]);
  });

  test("holds the order: nothing overtakes the alert that it refuses", async () => {
    receiver.status = 503;
    const desk = openDesk();
    await fail(desk, "zurich");
    await receiver.requests(1);
    await fail(desk, "oslo");
    await recover(desk, "zurich");
    await clock.advance(10_000);
    await receiver.requests(2);
    expect(new Set(receiver.refused)).toEqual(new Set(["replication_failed zurich fails"]));
    receiver.status = 200;
    await clock.advance(60_000);
    await receiver.requests(receiver.refused.length + 3);
    expect(receiver.taken).toEqual([
      "replication_failed zurich fails",
      "replication_failed oslo fails",
      "replication_recovered zurich is back",
    ]);
    await settle();
  });

  test("is tried early for a new alert, but never sooner than the base wait after the last attempt", async () => {
    receiver.status = 500;
    const desk = openDesk();
    await fail(desk, "zurich");
    await receiver.requests(1);
    await clock.advance(await clock.untilSleeping());
    await receiver.requests(2);
    await clock.untilSleeping();
    await clock.advance(100);
    for (const subject of ["oslo", "bern", "lima"]) await fail(desk, subject);
    await settle();
    expect(receiver.bodies).toHaveLength(2);
    expect(clock.nextWakeMs).toBe(900);
    await clock.advance(900);
    await receiver.requests(3);
    const waitMs = await clock.untilSleeping();
    // The early attempt did not count: the wait is still the second one.
    expect(waitMs).toBeGreaterThan(4_000);
    expect(waitMs).toBeLessThan(6_000);
  });

  test("keeps nothing that raises an alert waiting while it hangs, and stopping ends the attempt at once", async () => {
    receiver.status = 0;
    const desk = openDesk();
    await fail(desk, "zurich");
    await receiver.requests(1);
    await fail(desk, "oslo");
    await desk.stop();
    expect(await undelivered()).toBe(2);
  });

  test("that is not listening yet gets its alerts when it is", async () => {
    const later = new Receiver();
    const laterUrl = await later.open();
    await later[Symbol.asyncDispose]();
    const desk = openDesk(laterUrl);
    await fail(desk, "zurich");
    await clock.untilSleeping();
    const again = new Receiver();
    await again.open(Number(new URL(laterUrl).port));
    await clock.advance(2_000);
    await again.requests(1);
    await settle();
    expect(await undelivered()).toBe(0);
    await again[Symbol.asyncDispose]();
  });
});

describe("over restarts and time", () => {
  test("what was not delivered is delivered by the next start, in order and with its end", async () => {
    receiver.status = 500;
    const before = openDesk();
    await fail(before, "zurich");
    await receiver.requests(1);
    await recover(before, "zurich");
    await before.stop();
    receiver.status = 200;
    await clock.advance(6 * day);
    openDesk();
    await receiver.requests(3);
    await settle();
    expect(receiver.taken).toEqual([
      "replication_failed zurich fails",
      "replication_recovered zurich is back",
    ]);
    expect(await undelivered()).toBe(0);
  });

  test("what was delivered is not delivered again", async () => {
    const before = openDesk();
    await fail(before, "zurich");
    await receiver.requests(1);
    await settle();
    await before.stop();
    const after = openDesk();
    await fail(after, "oslo");
    await receiver.requests(2);
    await settle();
    expect(receiver.taken).toEqual(["replication_failed zurich fails", "replication_failed oslo fails"]);
  });

  test("an alert older than 7 days is given up with one line in the log, while the site runs", async () => {
    receiver.status = 500;
    const desk = openDesk();
    await fail(desk, "zurich");
    for (let attempts = 1; (await undelivered()) > 0; attempts += 1) {
      await receiver.requests(attempts);
      await clock.advance(await clock.untilSleeping());
      await settle();
    }
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(7 * day);
    expect(clock.monotonicMs()).toBeLessThan(7 * day + 3_600_000);
    await settle();
    expect(clock.sleeping).toBe(0);
    expect(lines.filter((line) => line.includes("given up"))).toHaveLength(1);
  });

  test("an alert that grew older than 7 days while the site was down is given up once", async () => {
    await store.transact((tx) => tx.alerts.add("replication_failed", "zurich", "old", {}));
    await clock.advance(30 * day);
    await store.transact((tx) => tx.alerts.add("replication_failed", "oslo", "new", {}));
    openDesk();
    await receiver.requests(1);
    await settle();
    openDesk();
    await settle();
    expect(receiver.taken).toEqual(["replication_failed new"]);
    expect(lines.filter((line) => line.includes("given up"))).toHaveLength(1);
  });
});

describe("a store that fails", () => {
  /** The store, but for the operations that are named as long as they are. */
  const failingAt = (...names: string[]): { store: Store; works: () => void } => {
    const failing = new Set(names);
    const operation = <T>(name: string, run: () => Promise<T>): Promise<T> =>
      failing.has(name) ? Promise.reject(new Error("disk full")) : run();
    return { store: hooked(store, { operation }), works: () => failing.clear() };
  };

  test("an alert that cannot be stored is logged and delivered all the same, once, and so is its end", async () => {
    const failing = failingAt("alerts.add", "alerts.undelivered", "alerts.markDelivered");
    const desk = openDesk(url, failing.store);
    for (let i = 0; i < 3; i += 1) await desk.raise("disk_low", "", "full", {});
    expect(lines.filter((line) => line.includes("could not be stored"))).toHaveLength(1);
    await clock.advance(1_000);
    await receiver.requests(1);
    await desk.raise("disk_recovered", "", "room again", {});
    await clock.advance(1_000);
    await receiver.requests(2);
    await desk.raise("disk_low", "", "full again", {});
    await clock.advance(1_000);
    await receiver.requests(3);
    await settle();
    expect(receiver.taken).toEqual(["disk_low full", "disk_recovered room again", "disk_low full again"]);
    expect(receiver.bodies[0]?.["incident"]).toBe(receiver.bodies[1]?.["incident"]);
  });

  test("an end that cannot be stored is told once, however often it is raised, and again when the incident comes back", async () => {
    const failing = failingAt("alerts.add");
    await store.transact((tx) => tx.alerts.add("replication_failed", "zurich", "zurich fails", {}));
    const desk = openDesk(url, failing.store);
    await receiver.requests(1);
    for (let i = 0; i < 3; i += 1) await recover(desk, "zurich");
    await receiver.requests(2);
    await fail(desk, "zurich");
    await recover(desk, "zurich");
    await receiver.requests(4);
    await settle();
    expect(receiver.taken).toEqual([
      "replication_failed zurich fails",
      "replication_recovered zurich is back",
      "replication_failed zurich fails",
      "replication_recovered zurich is back",
    ]);
  });

  test("the end of an incident that could not be stored is told when the store works again", async () => {
    const failing = failingAt("alerts.add");
    const desk = openDesk(url, failing.store);
    await desk.raise("disk_low", "", "full", {});
    failing.works();
    await desk.raise("disk_recovered", "", "room again", {});
    await receiver.requests(2);
    await settle();
    expect(receiver.taken).toEqual(["disk_low full", "disk_recovered room again"]);
  });

  test("what is delivered but cannot be noted as such is not delivered again by this process", async () => {
    const failing = failingAt("alerts.markDelivered");
    const desk = openDesk(url, failing.store);
    await fail(desk, "zurich");
    await receiver.requests(1);
    await clock.untilSleeping();
    await clock.advance(60_000);
    failing.works();
    await clock.advance(3_600_000);
    await settle();
    expect(receiver.bodies).toHaveLength(1);
    expect(await undelivered()).toBe(0);
  });
});

describe("a test alert", () => {
  test("is stored, logged and reported for each channel, as often as it is asked for", async () => {
    const desk = openDesk();
    for (let i = 0; i < 2; i += 1) {
      expect(await desk.deliverTest()).toEqual([
        { channel: "log", ok: true },
        { channel: "webhook", ok: true },
      ]);
    }
    expect(receiver.taken).toHaveLength(2);
    expect(await store.read((r) => r.alerts.newest(9))).toHaveLength(2);
    expect(await undelivered()).toBe(0);
  });

  test("that fails says why without the address, and is delivered later", async () => {
    receiver.status = 404;
    const desk = openDesk();
    expect(await desk.deliverTest()).toEqual([
      { channel: "log", ok: true },
      { channel: "webhook", ok: false, error: "it answered 404" },
    ]);
    receiver.status = 200;
    await clock.advance(10_000);
    await receiver.requests(receiver.refused.length + 1);
    await settle();
    expect(receiver.taken).toEqual(["test This is a test: alerts reach you."]);
  });
});
