import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { activityBetween, childrenOf, readActivity } from "./proc.ts";

const children: ReturnType<typeof spawn>[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

/** A Node that runs `script`, then says so on stdout, then goes on with what the script left behind. */
async function startNode(script: string): Promise<number> {
  const child = spawn(process.execPath, ["--no-memory-reducer", "-e", `${script}; console.log("ready")`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  await once(child.stdout, "data");
  if (child.pid === undefined) throw new Error("it did not start");
  return child.pid;
}

describe("/proc", () => {
  it("shows the wakeups and bytes of a process that a timer wakes", async () => {
    const pid = await startNode(`setInterval(() => require("fs").readFileSync("/etc/hostname"), 5)`);
    const before = readActivity(pid);
    let seen = activityBetween(before, readActivity(pid));
    for (let i = 0; i < 1000 && seen.readBytes === 0; i += 1) {
      await new Promise((done) => setTimeout(done, 10));
      seen = activityBetween(before, readActivity(pid));
    }
    expect(seen.switchesTotal).toBeGreaterThan(0);
    expect(seen.readBytes).toBeGreaterThan(0);
  });

  it("counts a thread that came or went as one that ran", () => {
    const quiet = { readBytes: 7, writtenBytes: 3 };
    const one = { switches: new Map([["1 node", 5]]), ...quiet };
    const two = {
      switches: new Map([
        ["1 node", 5],
        ["2 libuv", 0],
      ]),
      ...quiet,
    };
    expect(activityBetween(one, one)).toEqual({
      switches: {},
      switchesTotal: 0,
      readBytes: 0,
      writtenBytes: 0,
    });
    expect(activityBetween(one, two).switches).toEqual({ "2 libuv": 1 });
    expect(activityBetween(two, one).switches).toEqual({ "2 libuv": 1 });
  });

  it("lists a process among its parent's children only while it runs", async () => {
    const pid = await startNode("process.stdin.resume()");
    expect(childrenOf(process.pid).map((child) => child.pid)).toContain(pid);
    process.kill(pid, "SIGKILL");
    await once(children[0] ?? expect.fail("no child"), "exit");
    children.length = 0;
    expect(childrenOf(process.pid).map((child) => child.pid)).not.toContain(pid);
  });
});
