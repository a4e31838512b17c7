import { expect, test } from "vitest";
import { WritesInFlight } from "./writes-in-flight.ts";

/** What a promise has come to by the time everything that is ready has run. */
async function isResolved(promise: Promise<void>): Promise<boolean> {
  let resolved = false;
  void promise.then(() => {
    resolved = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return resolved;
}

test("a write counts from its beginning to its end, however often that is told", () => {
  const writes = new WritesInFlight();
  const end = writes.begin();
  writes.begin();
  expect([writes.count, writes.begun, writes.ended]).toEqual([2, 2, 0]);
  end();
  end();
  expect([writes.count, writes.begun, writes.ended]).toEqual([1, 2, 1]);
});

test("who waits is told at once where nothing is in flight, and else when as many have ended", async () => {
  const writes = new WritesInFlight();
  expect(await isResolved(writes.settled())).toBe(true);
  const [first, second] = [writes.begin(), writes.begin()];
  const settled = writes.settled();
  first();
  expect(await isResolved(settled)).toBe(false);
  second();
  expect(await isResolved(settled)).toBe(true);
});

test("a steady stream holds nobody up: a write that is stuck is as good as one that came later", async () => {
  const writes = new WritesInFlight();
  writes.begin();
  const settled = writes.settled();
  const later = writes.begin();
  const stillLater = writes.settled();
  later();
  expect(await isResolved(settled)).toBe(true);
  expect(await isResolved(stillLater)).toBe(false);
});
