import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { listenForShutdown, type Shutdown } from "./shutdown.ts";

type Fixture = { source: EventEmitter; exits: number[]; time: { ms: number }; shutdown: Shutdown };

function fixture(): Fixture {
  const source = new EventEmitter();
  const exits: number[] = [];
  const time = { ms: 5_000 };
  const shutdown = listenForShutdown({
    source,
    exit: (status) => exits.push(status),
    monotonicMs: () => time.ms,
  });
  return { source, exits, time, shutdown };
}

test.each(["SIGINT", "SIGTERM"])("%s aborts the signal and lets the process end by itself", (name) => {
  const { source, exits, shutdown } = fixture();
  source.emit(name);
  expect(shutdown.signal.aborted).toBe(true);
  expect(exits).toEqual([]);
});

test("the same keypress arriving twice does not force an exit", () => {
  const { source, exits, time } = fixture();
  source.emit("SIGINT");
  time.ms += 900;
  source.emit("SIGTERM");
  expect(exits).toEqual([]);
});

test("a second signal after more than a second forces an exit with status 130", () => {
  const { source, exits, time } = fixture();
  source.emit("SIGTERM");
  time.ms += 1_001;
  source.emit("SIGINT");
  expect(exits).toEqual([130]);
});

test("the program can ask for its own shutdown, and a signal long after it forces an exit", () => {
  const { source, exits, time, shutdown } = fixture();
  shutdown.request();
  expect(shutdown.signal.aborted).toBe(true);
  time.ms += 2_000;
  source.emit("SIGINT");
  expect(exits).toEqual([130]);
});

test("disposing gives the signals back", () => {
  const { source, shutdown } = fixture();
  shutdown[Symbol.dispose]();
  expect(source.listenerCount("SIGINT") + source.listenerCount("SIGTERM")).toBe(0);
});
