import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getActiveResourcesInfo } from "node:process";
import { expect, test } from "vitest";
import { SeededRandom, sha256Hash } from "../../../test/support/ports.ts";
import { systemClock } from "../../app/system-ports.ts";
import { isSiteName } from "../../core/ids.ts";
import { siteImage } from "../../store/sqlite/new-site.ts";
import { openMemoryStore } from "../../store/sqlite/open.ts";
import { createLogger } from "../logging.ts";
import { AlertDesk } from "./alert-desk.ts";
import { WebhookChannel } from "./webhook-channel.ts";

// Alone in its file, and so in its process: what other tests leave behind for a moment would count here.
test("a desk that has delivered everything holds no timer and no connection, on the real clock", async () => {
  const site = "calgary";
  if (!isSiteName(site)) throw new Error("no site's name");
  let answers = 0;
  const server = createServer((_, response) => {
    answers += 1;
    response.writeHead(answers === 1 ? 500 : 200).end("answer");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const ports = { clock: systemClock, random: new SeededRandom(1) };
  const image = siteImage({ site, role: "primary", ...ports });
  const store = openMemoryStore({ image, ...ports, hash: sha256Hash });
  const log = await createLogger({ site, output: { write: () => undefined } });
  const held = (): string[] =>
    getActiveResourcesInfo().filter((kind) => /Timeout|TCP(Socket)?Wrap|Immediate/.test(kind));
  const before = held();
  // What the test runner held before may go meanwhile; nothing may come.
  const added = (): string[] => {
    const rest = [...before];
    return held().filter((kind) => {
      const at = rest.indexOf(kind);
      if (at !== -1) rest.splice(at, 1);
      return at === -1;
    });
  };
  const policy = { baseMs: 20, factor: 5, capMs: 1_000, probeMs: 1_000, retriesMax: 5 };
  const desk = new AlertDesk({ store, ...ports, log, channels: [new WebhookChannel({ url, site })], policy });
  desk.start();
  await desk.raise("replication_failed", "zurich", "zurich fails", {});
  while ((await store.read((r) => r.alerts.undelivered("webhook", 0))).length > 0) await systemClock.turn();
  // The connection is closed by either side within a few turns; a timer or a kept connection would stay for seconds.
  for (let turn = 0; turn < 50 && added().length > 0; turn += 1) await systemClock.turn();
  expect(answers).toBe(2);
  expect(added()).toEqual([]);
  await desk.stop();
  await store.close();
  server.close();
  await once(server, "close");
});
