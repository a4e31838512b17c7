import { getActiveResourcesInfo } from "node:process";
import { expect, test, vi } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { newUuidV7 } from "../core/ids.ts";
import { systemClock, systemHash, systemRandom } from "./system-ports.ts";

const never = new AbortController().signal;
const timers = (): number => getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;

test("a sleep ends at once when its signal aborts, and leaves no timer", async () => {
  const stop = new AbortController();
  const before = timers();
  const sleeps = Array.from({ length: 50 }, () => systemClock.sleep(3_600_000, stop.signal));
  expect(timers()).toBeGreaterThan(before + 40);
  stop.abort();
  await Promise.all(sleeps);
  // The one timer that disarms the event loop's is due in a millisecond.
  await vi.waitFor(() => expect(timers()).toBeLessThan(before + 10));
});

test("a sleep on a signal that has aborted does not begin", async () => {
  const before = timers();
  const sleep = systemClock.sleep(3_600_000, AbortSignal.abort());
  expect(timers()).toBe(before);
  await sleep;
});

test("a sleep longer than a timer can be does not end at once", async () => {
  const stop = new AbortController();
  let ended = false;
  const sleep = systemClock.sleep(2 ** 32, stop.signal).then(() => {
    ended = true;
  });
  await systemClock.sleep(20, never);
  expect(ended).toBe(false);
  stop.abort();
  await sleep;
});

test("a sleep longer than a timer can be ends when its whole time is over", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let ended = false;
  const sleep = systemClock.sleep(2 ** 31 + 1_000, never).then(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(2 ** 31);
  expect(ended).toBe(false);
  await vi.advanceTimersByTimeAsync(1_000);
  vi.useRealTimers();
  await sleep;
});

test("a sleep lasts at least as long as asked", async () => {
  const before = systemClock.monotonicMs();
  await systemClock.sleep(20, never);
  expect(systemClock.monotonicMs() - before).toBeGreaterThanOrEqual(19);
});

test("a turn comes after what is ready now", async () => {
  const order: string[] = [];
  const turn = systemClock.turn().then(() => order.push("turn"));
  process.nextTick(() => order.push("tick"));
  queueMicrotask(() => order.push("microtask"));
  await turn;
  expect(order.at(-1)).toBe("turn");
});

test("SHA-256 is that of FIPS 180-4, however the bytes are cut", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  expect(Buffer.from(systemHash.sha256(utf8("abc"))).toString("hex")).toBe(abc);
  expect(Buffer.from(systemHash.sha256(utf8("a"), utf8(""), utf8("bc"))).toString("hex")).toBe(abc);
  expect(Buffer.from(systemHash.sha256()).toString("hex")).toBe(empty);
  expect(systemHash.sha256(utf8("abc"))).not.toBeInstanceOf(Buffer);
});

test("random bytes are of the asked length and differ", () => {
  expect(systemRandom.bytes(16)).toHaveLength(16);
  expect(systemRandom.bytes(16)).not.toEqual(systemRandom.bytes(16));
  expect(newUuidV7(Date.now(), systemRandom)).toMatch(/^[0-9a-f-]{36}$/);
  const fraction = systemRandom.fraction();
  expect(fraction >= 0 && fraction < 1).toBe(true);
});

test("random bytes never come twice and are never blank, however many are asked for", () => {
  const counts = Array.from({ length: 2_000 }, (_, index) => 16 + (index % 40));
  const texts = [...counts, 4_096, 4_097, 10_000].map((count) => {
    const bytes = systemRandom.bytes(count);
    expect(bytes).toHaveLength(count);
    return Buffer.from(bytes).toString("hex");
  });
  expect(new Set(texts.map((text) => text.slice(0, 32))).size).toBe(texts.length);
  expect(texts.filter((text) => text.includes("00".repeat(8)))).toEqual([]);
});
