import { afterAll } from "vitest";
import { childrenOf } from "./proc.ts";

/** Sockets that are closing are gone by then. */
const graceMs = 1_000;

/** Runs after every test file: a process, socket, server or timer that a test left behind fails the file. */
afterAll(async () => {
  const isClean = () => leftProcesses().length === 0 && leftHandles().length === 0;
  const deadline = performance.now() + graceMs;
  while (!isClean() && performance.now() < deadline) await new Promise((done) => setTimeout(done, 10));
  const processes = leftProcesses();
  for (const { pid } of processes) process.kill(pid, "SIGKILL");
  const left = [...leftHandles(), ...processes.map(({ command }) => command)];
  if (left.length > 0) throw new Error(`left behind: ${left.join("; ")}`);
});

function leftProcesses(): ReturnType<typeof childrenOf> {
  return process.platform === "linux" ? childrenOf(process.pid) : [];
}

/** What keeps this process alive, but for what the test runner itself holds: its pipes and one timer. */
function leftHandles(): readonly string[] {
  const handles = process
    .getActiveResourcesInfo()
    .filter((name) => /^(TCP|TLS|UDP|Process|Timeout)/.test(name));
  const own = handles.indexOf("Timeout");
  return own === -1 ? handles : handles.toSpliced(own, 1);
}
