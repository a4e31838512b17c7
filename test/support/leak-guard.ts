import { afterAll } from "vitest";
import { childrenOf } from "./proc.ts";

/** Runs after every test file: a process that a test left running fails the file, and is ended. */
afterAll(() => {
  if (process.platform !== "linux") return;
  const left = childrenOf(process.pid);
  for (const { pid } of left) process.kill(pid, "SIGKILL");
  if (left.length > 0) throw new Error(`left running: ${left.map(({ command }) => command).join("; ")}`);
});
