import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Config, dormouse, freePort, type SiteProcess, type Sites } from "./processes.ts";

const command = resolve(import.meta.dirname, "../../bin/dormouse");

/** A site without peers, initialised and not started. */
export async function initLoneSite(
  sites: Sites,
  site: string,
  role: "primary" | "backup",
  settings: Config = {},
): Promise<SiteProcess> {
  const replication = { peers: [], backoff: { base_ms: 50, cap_ms: 400, probe_ms: 400 } };
  const config = { edition: "commercial", site, replication, ...settings };
  return await sites.init(config, { port: await freePort(), role });
}

/** `dormouse peer invite --yes` while it runs. */
export class Inviting implements AsyncDisposable {
  readonly code: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  readonly #lines: readonly string[];
  readonly #errors: readonly string[];

  private constructor(parts: {
    readonly child: ChildProcess;
    readonly ended: Promise<number>;
    readonly lines: readonly string[];
    readonly errors: readonly string[];
  }) {
    this.#child = parts.child;
    this.#ended = parts.ended;
    this.#lines = parts.lines;
    this.#errors = parts.errors;
    this.code = (JSON.parse(parts.lines[0] ?? "{}") as { code: string }).code;
  }

  static async begin(primary: SiteProcess, ...options: readonly string[]): Promise<Inviting> {
    const args = ["peer", "invite", "--config", primary.configPath, "--yes", "--json", ...options];
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    const ended = once(child, "close").then(([status]) => Number(status));
    const lines: string[] = [];
    const errors: string[] = [];
    child.stderr.on("data", (text) => errors.push(String(text)));
    const reader = createInterface({ input: child.stdout });
    const first = once(reader, "line");
    reader.on("line", (line) => lines.push(line));
    await Promise.race([first, ended]);
    if (lines.length === 0) throw new Error(`no invitation: ${errors.join("")}`);
    return new Inviting({ child, ended, lines, errors });
  }

  /** What it has told of errors so far. */
  errors(): string {
    return this.#errors.join("");
  }

  /** What it came to, once it has ended by itself. */
  async result(): Promise<{ readonly status: number; readonly joined: unknown; readonly stderr: string }> {
    const status = await this.#ended;
    const last = this.#lines[1];
    return {
      status,
      joined: last === undefined ? undefined : JSON.parse(last),
      stderr: this.errors(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#ended;
  }
}

/** `dormouse peer join` while it runs. */
export function startJoin(backup: SiteProcess, code: string): AsyncDisposable & { kill(): Promise<void> } {
  const args = ["peer", "join", "--config", backup.configPath];
  const child = spawn(command, args, { stdio: ["pipe", "ignore", "ignore"] });
  const ended = once(child, "close");
  child.stdin.end(`${code}\n`);
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return { kill, [Symbol.asyncDispose]: kill };
}

/** Both commands, to their end. The primary runs; the backup may. */
export async function pairSites(
  primary: SiteProcess,
  backup: SiteProcess,
  ...options: readonly string[]
): Promise<void> {
  await using inviting = await Inviting.begin(primary, ...options);
  const args = ["peer", "join", "--config", backup.configPath];
  const joined = await dormouse(args, { stdin: `${inviting.code}\n` });
  if (joined.status !== 0) throw new Error(joined.stderr);
  await inviting.result();
}
