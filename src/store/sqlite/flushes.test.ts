import { describe, expect, it } from "vitest";
import { put, newVault, set, zurich } from "../../../test/contract/store-harness.ts";
import { HeldLog, settle, watch } from "../../../test/support/held-log.ts";
import { ports } from "../../../test/support/sqlite-site.ts";
import { Flushes } from "./flushes.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";
import type { SqliteStore } from "./sqlite-store.ts";

/** Flushes of commits, and a store whose disk they are. */

function held(): { log: HeldLog; flushes: Flushes } {
  const log = new HeldLog();
  return { log, flushes: new Flushes({ clock: ports.clock, log }) };
}

function heldStore(): { log: HeldLog; store: SqliteStore; image: Buffer } {
  const log = new HeldLog();
  const image = siteImage({ site: zurich, role: "primary", ...ports });
  return { log, store: openMemoryStore({ image, log, ...ports }), image };
}

const refuse = (): never => {
  throw new Error("it is there already");
};

describe("a commit", () => {
  it("is durable when the flush that covers it has ended, and no sooner", async () => {
    const { log, flushes } = held();
    const settled = watch({ commit: flushes.reach(flushes.committed()) });
    await settle();
    expect([log.begun, settled]).toEqual([1, []]);
    await log.end();
    expect(settled).toEqual(["commit"]);
  });

  it("that was made during a flush waits for the next one, with all others that were", async () => {
    const { log, flushes } = held();
    const first = flushes.reach(flushes.committed());
    const [second, third] = [flushes.reach(flushes.committed()), flushes.reach(flushes.committed())];
    const settled = watch({ first, second, third });
    await log.end();
    expect([log.begun, settled]).toEqual([2, ["first"]]);
    await log.end();
    expect([log.begun, settled]).toEqual([2, ["first", "second", "third"]]);
  });

  it("that nobody waits for begins no flush, and is covered by the next", async () => {
    const { log, flushes } = held();
    const unwanted = flushes.committed();
    await settle();
    expect([log.begun, flushes.settled()]).toEqual([0, undefined]);
    const wanted = flushes.reach(flushes.committed());
    await log.end();
    await wanted;
    await flushes.reach(unwanted);
    expect(log.begun).toBe(1);
  });

  it("is durable at once where there is no log", async () => {
    const flushes = new Flushes({ clock: ports.clock, log: null });
    await flushes.reach(flushes.committed());
    expect(flushes.settled()).toBeUndefined();
  });
});

describe("whoever holds what belongs to a flush", () => {
  it("is told of its beginning, before anything else can be committed, and of its end only where it ended well", async () => {
    const log = new HeldLog();
    const told: string[] = [];
    const flushes = new Flushes({
      clock: ports.clock,
      log,
      onBegin: () => {
        told.push("begins");
        return () => told.push("ended");
      },
    });
    const first = flushes.reach(flushes.committed()).then(() => told.push("durable"));
    expect(told).toEqual(["begins"]);
    await log.end();
    await first;
    const second = flushes.reach(flushes.committed());
    const failed = expect(second).rejects.toMatchObject({ code: "storage_failed" });
    await log.fail();
    await failed;
    expect(told).toEqual(["begins", "ended", "durable", "begins"]);
  });
});

describe("a read", () => {
  it("that may have seen a commit which is not durable resolves when it is; one at rest waits for nothing", async () => {
    const { log, store } = heldStore();
    const atRest = watch({ before: store.read((r) => r.site.record()) });
    await settle();
    expect([log.begun, atRest]).toEqual([0, ["before"]]);
    const key = newVault();
    const write = store.transact((tx) => tx.rows.write(put(key, "x")));
    await settle();
    const [site, row] = [store.read((r) => r.site.record()), store.read((r) => r.rows.row(key))];
    const settled = watch({ write, site, row });
    await settle();
    expect([log.begun, settled]).toEqual([1, []]);
    await log.end();
    expect(settled).toHaveLength(3);
    expect((await site).head.position.seq).toBe((await row)?.position.seq);
    const after = watch({ after: store.read((r) => r.rows.row(key)) });
    await settle();
    expect([log.begun, after]).toEqual([1, ["after"]]);
    await store.close();
  });
});

describe("a refusal", () => {
  it("that may rest on a commit which is not durable is told when it is", async () => {
    const { log, store } = heldStore();
    const first = store.transact((tx) => tx.rows.write(put(newVault(), "x")));
    await settle();
    const second = store.transact((tx) => tx.rows.write({ keys: [], decide: refuse }));
    const settled = watch({ first, second });
    await settle();
    expect(settled).toEqual([]);
    await log.end();
    expect(settled).toEqual(["first", "second failed"]);
    await store.close();
  });
});

describe("a flush that fails", () => {
  it("fails everybody it was for, and everything afterwards, until the database is opened again", async () => {
    const { log, store, image } = heldStore();
    const writes = [newVault(), newVault()].map((key) =>
      store.transact((tx) => tx.rows.write(put(key, "x"))),
    );
    await settle();
    const read = store.read((r) => r.site.record());
    const outcomes = Promise.allSettled([...writes, read]);
    await log.fail();
    const failed = { status: "rejected", reason: expect.objectContaining({ code: "storage_failed" }) };
    expect(await outcomes).toEqual([failed, failed, failed]);
    const later = [
      store.transact((tx) => tx.rows.write(put(newVault(), "x"))),
      store.read((r) => r.site.record()),
      store.transact((tx) => tx.audit.settle()),
    ];
    expect(await Promise.allSettled(later)).toEqual([failed, failed, failed]);
    expect(log.begun).toBe(1);
    await store.close();
    const again = openMemoryStore({ image, ...ports });
    await set(again, newVault(), "x");
    await again.close();
  });
});
