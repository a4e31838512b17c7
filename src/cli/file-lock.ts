import { open, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { CommandRefusal } from "./report.ts";

/** A command holds a lock for as long as it takes to write one small file; after this its process has been killed. */
const staleMs = 10_000;
const pauseMs = 20;
const waitMsMax = 15_000;

/**
 * Runs `work` while this process alone holds the lock at `path`: a file that is there for as long as a process holds the lock. A file that
 * a killed process has left is removed after ten seconds.
 * @throws Refusal `config_invalid` where the lock cannot be had
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await take(path);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<void> {
  const until = performance.now() + waitMsMax;
  while (!(await lockNow(path))) {
    if (performance.now() > until) throw cannot(path, "another command holds it");
    if (await isStale(path)) await rm(path, { force: true });
    await sleep(pauseMs);
  }
}

/** Makes the lock's file. False where another process holds the lock. */
async function lockNow(path: string): Promise<boolean> {
  try {
    await (await open(path, "wx", 0o600)).close();
    return true;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw cannot(path, codeOf(error));
    return false;
  }
}

async function isStale(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > staleMs;
}

function cannot(path: string, why: string): CommandRefusal {
  return new CommandRefusal(
    "config_invalid",
    `${path} cannot be locked (${why})`,
    "try again; else remove that file",
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
}
