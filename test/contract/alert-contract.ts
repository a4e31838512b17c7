import { describe, expect, it } from "vitest";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import { calgary, type StoreUnderTest } from "./store-harness.ts";

/** Incidents, and what each channel has still to tell. */
export function alertContract({ open, reopen }: StoreUnderTest): void {
  const site = async (): Promise<{ store: Store; clock: VirtualClock }> => {
    const clock = new VirtualClock();
    return { store: await open({ site: calgary, role: "primary", clock }), clock };
  };
  const fail = (store: Store, subject = "zurich") =>
    store.transact((tx) =>
      tx.alerts.add("replication_failed", subject, "Backup unreachable after retries", {
        backup: subject,
        count: 3,
      }),
    );
  const recover = (store: Store, subject = "zurich") =>
    store.transact((tx) => tx.alerts.add("replication_recovered", subject, "Backup reachable again", {}));

  describe("an incident", () => {
    it("is told once however often it is raised", async () => {
      const { store, clock } = await site();
      const alert = await fail(store);
      expect(alert).toMatchObject({
        event: "replication_failed",
        severity: "critical",
        details: { backup: "zurich", count: 3 },
        at: clock.now(),
        endedAt: null,
      });
      expect(await fail(store)).toBeUndefined();
      expect(await store.read((r) => r.alerts.openIncidents())).toEqual([alert]);
    });

    it("is told once when two raise it in the same turn", async () => {
      const { store } = await site();
      const raised = await Promise.all([fail(store), fail(store)]);
      expect(raised.filter((alert) => alert !== undefined)).toHaveLength(1);
    });

    it("ends once, under the same name, and may open again under another", async () => {
      const { store, clock } = await site();
      const opened = await fail(store);
      await clock.advance(60_000);
      const ended = await recover(store);
      expect(ended).toMatchObject({ event: "replication_recovered", severity: "info", endedAt: null });
      expect(ended?.incident).toBe(opened?.incident);
      expect(await recover(store)).toBeUndefined();
      expect(await store.read((r) => r.alerts.openIncidents())).toEqual([]);
      expect((await store.read((r) => r.alerts.newest(10))).map(({ endedAt }) => endedAt)).toEqual([
        null,
        clock.now(),
      ]);
      expect((await fail(store))?.incident).not.toBe(opened?.incident);
    });

    it("is one for each subject and each event", async () => {
      const { store } = await site();
      await fail(store, "zurich");
      await fail(store, "geneva");
      await store.transact((tx) => tx.alerts.add("disk_low", "", "The disk is nearly full", {}));
      await recover(store, "zurich");
      const open = await store.read((r) => r.alerts.openIncidents());
      expect(open.map(({ event, details }) => [event, details["backup"]])).toEqual([
        ["replication_failed", "geneva"],
        ["disk_low", undefined],
      ]);
    });

    it("is still open when the store is opened again", async () => {
      const { store } = await site();
      await fail(store);
      const again = await reopen(store);
      expect(await fail(again)).toBeUndefined();
    });

    it("that has no end is told once, and a test every time, which opens none", async () => {
      const { store } = await site();
      const superseded = () =>
        store.transact((tx) => tx.alerts.add("primary_superseded", "", "Another site is primary", {}));
      expect(await superseded()).toBeDefined();
      expect(await superseded()).toBeUndefined();
      const test = () => store.transact((tx) => tx.alerts.add("test", "", "A test", {}));
      expect([await test(), await test()].filter((alert) => alert !== undefined)).toHaveLength(2);
      expect((await store.read((r) => r.alerts.openIncidents())).map(({ event }) => event)).toEqual([
        "primary_superseded",
      ]);
    });
  });

  describe("the list of alerts", () => {
    it("has the newest first, and no more than asked for", async () => {
      const { store } = await site();
      await fail(store);
      await recover(store);
      await store.transact((tx) => tx.alerts.add("test", "", "A test", {}));
      expect((await store.read((r) => r.alerts.newest(2))).map(({ event }) => event)).toEqual([
        "test",
        "replication_recovered",
      ]);
    });
  });

  describe("a channel", () => {
    it("is owed every alert until it is delivered there, oldest first", async () => {
      const { store, clock } = await site();
      const first = await fail(store);
      const second = await recover(store);
      const since = clock.now() - 1;
      expect(await store.read((r) => r.alerts.undelivered("webhook", since))).toEqual(
        (await store.read((r) => r.alerts.newest(9))).toReversed(),
      );
      await store.transact((tx) => tx.alerts.markDelivered("webhook", first?.id ?? 0));
      await store.transact((tx) => tx.alerts.markDelivered("webhook", first?.id ?? 0));
      expect((await store.read((r) => r.alerts.undelivered("webhook", since))).map(({ id }) => id)).toEqual([
        second?.id,
      ]);
      expect(await store.read((r) => r.alerts.undelivered("mail", since))).toHaveLength(2);
    });

    it("is owed nothing older than it asks for", async () => {
      const { store, clock } = await site();
      await fail(store);
      const since = clock.now();
      expect(await store.read((r) => r.alerts.undelivered("webhook", since - 1))).toHaveLength(1);
      expect(await store.read((r) => r.alerts.undelivered("webhook", since))).toEqual([]);
    });
  });
}
