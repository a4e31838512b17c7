import { open, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { CommandRefusal } from "./report.ts";

/** Whoever holds a lock writes one small file. */
const staleMs = 10_000;
const pauseMs = 20;
const waitMsMax = 15_000;

/**
 * Runs `work` while this process alone holds the lock at `path`: a file that is there as long as somebody holds it. One that a killed
 * process has left is taken away after ten seconds.
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
  for (const until = Date.now() + waitMsMax; Date.now() < until; await sleep(pauseMs)) {
    try {
      await (await open(path, "wx", 0o600)).close();
      return;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw cannot(path, codeOf(error));
    }
    if (await isStale(path)) await rm(path, { force: true });
  }
  throw cannot(path, "another command holds it");
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
