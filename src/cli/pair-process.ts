import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("./main.ts", import.meta.url));
const stopDeadlineMs = 15_000;

/** How a site's process ended: its exit status, or the signal that ended it. */
export type Ending = {
  readonly site: string;
  readonly status: number | null;
  readonly signal: string | null;
};

/**
 * One `dormouse serve` as a child. It is in a process group of its own, so that Ctrl-C in a terminal reaches the launcher
 * alone, which then stops each site once; and it holds a channel to the launcher, whose closing tells it to stop even if the
 * launcher was killed. Node gets the options that it was given for the launcher.
 */
export class SiteChild {
  readonly site: string;
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;

  constructor(site: string, configPath: string) {
    this.site = site;
    this.#child = spawn(
      process.execPath,
      [...process.execArgv, main, "serve", "--config", configPath, "--log", "pretty"],
      // The log goes straight to where the launcher's goes: its lines name the site, and it needs no process in between.
      { stdio: ["ignore", "inherit", "pipe", "ipc"], detached: true },
    );
    // Only the channel's closing says anything; neither side sends.
    this.#child.channel?.unref();
    this.ended = once(this.#child, "close").then(([status, signal]) => ({ site, status, signal }));
    if (this.#child.stderr) nameLines(this.#child.stderr, site);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Asks the site to stop and resolves when it has; kills it where it does not in time. */
  async stop(): Promise<Ending> {
    if (!this.isRunning) return await this.ended;
    this.#child.kill("SIGTERM");
    const deadline = setTimeout(() => this.kill(), stopDeadlineMs);
    const ending = await this.ended;
    clearTimeout(deadline);
    return ending;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** `calgary: …`: what a site says beside its log names it too. */
function nameLines(stream: Readable, site: string): void {
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on("line", (line) => process.stderr.write(`${site}: ${line}\n`));
}
