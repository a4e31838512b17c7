import { expect, test } from "vitest";
import { VirtualClock } from "../../../test/support/ports.ts";
import { WritesInFlight } from "../../core/writes-in-flight.ts";
import { BurstWait } from "./burst-wait.ts";

const rows = 10;

function waiting() {
  const clock = new VirtualClock();
  const writesInFlight = new WritesInFlight();
  const stop = new AbortController();
  let turns = 0;
  /** What happens in each turn of the event loop that the wait takes. */
  const inTurns: (() => void)[] = [];
  const turn = async (): Promise<void> => {
    turns += 1;
    inTurns.shift()?.();
    await clock.turn();
  };
  const sleep: VirtualClock["sleep"] = (ms, signal) => clock.sleep(ms, signal);
  const limit = { rows, bytes: 1 };
  const burst = new BurstWait({ clock: { sleep, turn }, writesInFlight, limit, stop: stop.signal });
  return { clock, writesInFlight, stop, burst, inTurns, turns: () => turns };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Begins to wait, and tells whether that is over. */
function begin(burst: BurstWait): () => boolean {
  let isOver = false;
  void burst.over().then(() => {
    isOver = true;
  });
  return () => isOver;
}

test("with nothing in flight the wait is one turn, and no timer", async () => {
  const { clock, burst, turns } = waiting();
  const isOver = begin(burst);
  expect(clock.sleeping).toBe(0);
  await settle();
  expect([isOver(), turns(), clock.sleeping]).toEqual([true, 1, 0]);
});

test("a write that ends within that turn is waited for no longer, as a lone one is", async () => {
  const { clock, writesInFlight, burst, inTurns, turns } = waiting();
  inTurns.push(writesInFlight.begin());
  const isOver = begin(burst);
  await settle();
  expect([isOver(), turns(), clock.sleeping]).toEqual([true, 1, 0]);
});

test("writes in flight are waited for, however long each takes, as long as they end one by one", async () => {
  const { clock, writesInFlight, burst } = waiting();
  const ends = Array.from({ length: 9 }, () => writesInFlight.begin());
  const isOver = begin(burst);
  for (const end of ends) {
    await settle();
    expect(isOver()).toBe(false);
    await clock.advance(2);
    end();
  }
  await settle();
  expect([isOver(), clock.sleeping]).toEqual([true, 0]);
});

test("a write that does not end holds up a drain for 16 ms in all, over all its looks", async () => {
  const { clock, writesInFlight, burst } = waiting();
  writesInFlight.begin();
  const isOver = begin(burst);
  await clock.advance(15);
  await settle();
  expect(isOver()).toBe(false);
  for (let i = 0; i < 8; i += 1) {
    await clock.advance(2);
    await settle();
  }
  expect(isOver()).toBe(true);
  const next = begin(burst);
  await settle();
  expect([next(), clock.sleeping]).toEqual([true, 0]);
});

test("clients that connect one a turn are one burst", async () => {
  const { writesInFlight, burst, inTurns, turns } = waiting();
  for (let i = 0; i < 5; i += 1) inTurns.push(() => writesInFlight.begin()());
  const isOver = begin(burst);
  await settle();
  expect([isOver(), turns()]).toEqual([true, 6]);
});

test("a steady stream is shipped as soon as one push is full", async () => {
  const { writesInFlight, burst, inTurns, turns } = waiting();
  for (let i = 0; i < 1_000; i += 1) inTurns.push(() => writesInFlight.begin()());
  const isOver = begin(burst);
  await settle();
  await settle();
  expect([isOver(), turns()]).toEqual([true, rows]);
});

test("a site that stops waits for nobody", async () => {
  const { clock, writesInFlight, stop, burst } = waiting();
  writesInFlight.begin();
  const isOver = begin(burst);
  await settle();
  stop.abort();
  await settle();
  expect([isOver(), clock.sleeping]).toEqual([true, 0]);
});
