import { describe, expect, it, vi } from "vitest";
import {
  batch,
  fill,
  newEntry,
  newVault,
  pushOf,
  putAll,
  set,
  zurich,
} from "../../../test/contract/store-harness.ts";
import { HeldLog, settle, watch } from "../../../test/support/held-log.ts";
import { VirtualClock } from "../../../test/support/ports.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { LogFile } from "./log-file.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";

const { init, open } = sqliteSite();

/** How often the store let other work run while it wrote a thousand rows. */
async function turnsOf(store: ReturnType<typeof open>["store"], clock: VirtualClock): Promise<number> {
  const vault = newVault();
  await set(store, vault, "v");
  const keys = Array.from({ length: 1_000 }, () => newEntry(vault.vaultId));
  const turn = vi.spyOn(clock, "turn");
  await store.transact((tx) => tx.rows.write(putAll(keys, "e")));
  return turn.mock.calls.length;
}

describe("a write of a thousand rows", () => {
  it("lets others run after every 200 rows looked up and every 200 changed, before it begins to change and before COMMIT, on a file", async () => {
    const clock = new VirtualClock();
    expect(await turnsOf(open(init(), { clock }).store, clock)).toBe(1 + 4 + 1 + 4 + 1);
  });

  it("lets nobody run before its end in memory, where they would see a part of it", async () => {
    const clock = new VirtualClock();
    const image = siteImage({ site: zurich, role: "primary", ...ports });
    const store = openMemoryStore({ ...ports, clock, image });
    expect(await turnsOf(store, clock)).toBe(1);
    await store.close();
  });

  it("lets others run after every mebibyte", async () => {
    const clock = new VirtualClock();
    const { store } = open(init(), { clock });
    const { keys } = await fill(store, 8);
    const turn = vi.spyOn(clock, "turn");
    await store.transact((tx) => tx.rows.write(putAll(keys, "x".repeat(512 * 1024))));
    expect(turn.mock.calls.length).toBe(1 + 3);
  });
});

/** How often the log of a file has been flushed. */
function countFlushes(): () => number {
  const flush = vi.spyOn(LogFile.prototype, "flush");
  return () => flush.mock.calls.length;
}

describe("the disk", () => {
  it("is waited for by writes and by a peer that resumes, and not by acknowledgements", async () => {
    const { store } = open(init());
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    const flushes = countFlushes();
    await fill(store, 1);
    expect(flushes()).toBe(2);
    const { head } = await store.read((r) => r.site.record());
    await store.acknowledgements.take(zurich, { through: head, rows: [], rejected: [], verified: null });
    await store.acknowledgements.settle();
    expect(flushes()).toBe(2);
    await store.transact((tx) => tx.replication.resumeFrom(zurich, head, []));
    expect(flushes()).toBe(3);
  });

  it("is waited for by a push before it is acknowledged", async () => {
    const log = new HeldLog();
    const { store } = open(init());
    const image = siteImage({ site: zurich, role: "backup", ...ports });
    const backup = openMemoryStore({ image, log, ...ports });
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    await fill(store, 1);
    const push = await pushOf(
      store,
      await store.read((r) => r.replication.listAbove({ epoch: 0, seq: 0 }, batch)),
    );
    const settled = watch({ push: backup.transact((tx) => tx.replication.applyPush(push)) });
    await settle();
    expect([log.begun, settled]).toEqual([1, []]);
    await log.end();
    expect(settled).toEqual(["push"]);
    await backup.close();
  });
});
