import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { listenForHangup } from "./hangup.ts";

function fixture({ hadTerminal = false } = {}) {
  const source = new EventEmitter();
  const told: string[] = [];
  const world = { hasTerminal: hadTerminal };
  const hangup = listenForHangup(() => told.push("stop"), { source, hasTerminal: () => world.hasTerminal });
  return { source, told, world, hangup, reload: () => void told.push("reload") };
}

test("a process without a terminal reloads at each SIGHUP", () => {
  const { source, told, hangup, reload } = fixture();
  hangup.onReload(reload);
  source.emit("SIGHUP");
  source.emit("SIGHUP");
  expect(told).toEqual(["reload", "reload"]);
});

test("a process in a terminal reloads too, until that terminal is closed: then it stops", () => {
  const { source, told, world, hangup, reload } = fixture({ hadTerminal: true });
  hangup.onReload(reload);
  source.emit("SIGHUP");
  world.hasTerminal = false;
  source.emit("SIGHUP");
  expect(told).toEqual(["reload", "stop"]);
});

test("a SIGHUP during the start reloads once the site runs: its files may have been read before", () => {
  const { source, told, hangup, reload } = fixture();
  source.emit("SIGHUP");
  expect(told).toEqual([]);
  hangup.onReload(reload);
  expect(told).toEqual(["reload"]);
});

test("disposing gives the signal back", () => {
  const { source, hangup } = fixture();
  hangup[Symbol.dispose]();
  expect(source.listenerCount("SIGHUP")).toBe(0);
});
