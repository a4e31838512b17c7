import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/**
 * Real sites for tests: real configuration files, real `dormouse init` and `dormouse serve`, each in a process of its own.
 * Everything is in one temporary folder that goes when the sites are disposed of.
 */

/** The command of this checkout. */
const checkoutCommand = resolve(import.meta.dirname, "../../bin/dormouse");

const startDeadlineMs = 20_000;
const stopDeadlineMs = 10_000;

/** What one `dormouse` command came to. */
export type CommandResult = {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs `dormouse` to its end; never rejects for an exit status. */
export function dormouse(
  args: readonly string[],
  options: {
    readonly command?: string;
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly stdin?: string;
  } = {},
): Promise<CommandResult> {
  return new Promise((done, fail) => {
    // Profiles of whoever runs the tests are none of theirs.
    const env = { ...process.env, XDG_CONFIG_HOME: join(tmpdir(), "dormouse-no-profiles"), ...options.env };
    const child = execFile(
      options.command ?? checkoutCommand,
      [...args],
      { cwd: options.cwd, env, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== "number") fail(error);
        else done({ status: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      },
    );
    // A command that reads no input may be gone before it is given any.
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.stdin ?? "");
  });
}

/** A port of 127.0.0.1 on which nobody listens now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** The settings of a configuration file, in the file's own names. JSON is YAML. */
export type Config = Readonly<Record<string, unknown>>;

type SiteParts = Pick<SiteProcess, "site" | "url" | "configPath" | "dataPath" | "operatorToken"> & {
  readonly command: string;
};

/** One site: its folder, and its process while it runs. */
export class SiteProcess {
  readonly site: string;
  readonly url: string;
  readonly configPath: string;
  readonly dataPath: string;
  readonly operatorToken: string;
  readonly #command: string;
  #child: ChildProcess | undefined;
  #output = "";

  constructor(parts: SiteParts) {
    this.site = parts.site;
    this.url = parts.url;
    this.configPath = parts.configPath;
    this.dataPath = parts.dataPath;
    this.operatorToken = parts.operatorToken;
    this.#command = parts.command;
  }

  /** Everything that this site's processes have printed. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.site} does not run`);
    return pid;
  }

  /**
   * Starts `dormouse serve` and resolves when it answers GET /healthz.
   * @param logPath where its output goes; without it, to `output`
   */
  async start(logPath?: string): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.site} runs already`);
    const log = logPath === undefined ? "pipe" : openSync(logPath, "a");
    const child = spawn(this.#command, ["serve", "--config", this.configPath], {
      stdio: ["ignore", log, log],
    });
    if (log !== "pipe") closeSync(log);
    this.#child = child;
    child.once("exit", () => {
      if (this.#child === child) this.#child = undefined;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => {
        this.#output += text;
      });
    }
    await this.#answers();
  }

  async #answers(): Promise<void> {
    const deadline = performance.now() + startDeadlineMs;
    while (this.#child !== undefined && performance.now() < deadline) {
      if (await isHealthy(this.url)) return;
      // There is no event to wait for: another process binds the port.
      await new Promise((done) => setTimeout(done, 20));
    }
    const why = this.#child === undefined ? "ended" : "gave no answer";
    await this.kill();
    throw new Error(`${this.site} ${why} at its start:\n${this.#output}`);
  }

  /** kill -9, and resolves when the process is gone. Does nothing where none runs. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** SIGTERM, and resolves with the exit status; throws where the process does not end in time. */
  async stop(): Promise<number> {
    return this.#end("SIGTERM");
  }

  async #end(signal: "SIGKILL" | "SIGTERM"): Promise<number> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return 0;
    const ended = once(child, "exit");
    child.kill(signal);
    const deadline = setTimeout(() => child.kill("SIGKILL"), stopDeadlineMs);
    const [status, by] = (await ended) as [number | null, string | null];
    clearTimeout(deadline);
    if (signal === "SIGTERM" && by === "SIGKILL") {
      throw new Error(`${this.site} did not stop in ${stopDeadlineMs} ms:\n${this.#output}`);
    }
    return status ?? 0;
  }
}

/** Sites that share a temporary folder. Disposing of them stops what runs and removes the folder. */
export class Sites implements AsyncDisposable {
  readonly folder: string;
  readonly #sites: SiteProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async inTemporaryFolder(parent = tmpdir()): Promise<Sites> {
    return new Sites(await mkdtemp(join(parent, "dormouse-sites-")));
  }

  /** Writes a configuration, initialises the site with it, and returns it; it does not run yet. */
  async init(
    config: Config & { readonly site: string },
    options: {
      readonly port: number;
      readonly role: "primary" | "backup";
      readonly command?: string;
      /** `https` for a configuration whose `listen` has a certificate. */
      readonly scheme?: "http" | "https";
    },
  ): Promise<SiteProcess> {
    const { site } = config;
    const { port, role, command = checkoutCommand, scheme = "http" } = options;
    const url = `${scheme}://127.0.0.1:${port}`;
    const configPath = join(this.folder, `${site}.yaml`);
    const listen = { host: "127.0.0.1", port };
    await writeConfig(configPath, { data: `./${site}`, listen, public_url: url, ...config });
    const result = await dormouse(["init", "--config", configPath, "--role", role, "--json"], { command });
    if (result.status !== 0) throw new Error(`init of ${site} ended with ${result.status}: ${result.stderr}`);
    const { operator_token: operatorToken } = JSON.parse(result.stdout) as { operator_token: string };
    const dataPath = join(this.folder, site);
    const made = new SiteProcess({ site, url, configPath, dataPath, operatorToken, command });
    this.#sites.push(made);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = await Promise.allSettled(this.#sites.map((site) => site.stop()));
    await rm(this.folder, { recursive: true, force: true });
    const failed = stopped.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

export async function writeConfig(path: string, config: Config): Promise<void> {
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`);
}

/** A community site, initialised and not started. */
export async function initCommunitySite(sites: Sites, settings: Config = {}): Promise<SiteProcess> {
  const config = { edition: "community", site: "calgary", ...settings };
  return sites.init(config, { port: await freePort(), role: "primary" });
}

export type Pair = { readonly calgary: SiteProcess; readonly zurich: SiteProcess };

/**
 * The pair of the design, initialised and not started: calgary the primary, zurich its backup.
 * @param replication settings beside `peers`, such as `backoff`
 * @param settings for both sites, such as `alerts`
 */
export async function initPair(sites: Sites, replication: Config = {}, settings: Config = {}): Promise<Pair> {
  const [calgaryPort, zurichPort] = [await freePort(), await freePort()];
  const config = (site: string, peer: string, peerPort: number) => ({
    edition: "commercial",
    site,
    replication: {
      peers: [{ site: peer, url: `http://127.0.0.1:${peerPort}`, token_file: "./pair.token" }],
      ...replication,
    },
    ...settings,
  });
  // The primary's init makes the pair's token file, the backup's reads it.
  const calgary = await sites.init(config("calgary", "zurich", zurichPort), {
    port: calgaryPort,
    role: "primary",
  });
  const zurich = await sites.init(config("zurich", "calgary", calgaryPort), {
    port: zurichPort,
    role: "backup",
  });
  return { calgary, zurich };
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/healthz`, { headers: { connection: "close" } });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}

/** One call with a token, on a connection of its own that is closed with the answer. */
export async function call(
  site: SiteProcess,
  request: {
    readonly method?: string;
    readonly path: string;
    readonly token?: string;
    readonly body?: unknown;
    /** For a write: `wait=5` waits so many seconds for the backups. */
    readonly prefer?: string;
  },
): Promise<{ readonly status: number; readonly headers: Headers; readonly body: unknown }> {
  const answer = await fetch(`${site.url}${request.path}`, {
    method: request.method ?? "GET",
    headers: {
      connection: "close",
      authorization: `Bearer ${request.token ?? site.operatorToken}`,
      ...(request.body === undefined ? {} : { "content-type": "application/json" }),
      ...(request.prefer === undefined ? {} : { prefer: request.prefer }),
    },
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text === "" ? undefined : JSON.parse(text) };
}
