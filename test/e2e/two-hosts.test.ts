import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { generate } from "selfsigned";
import { expect, it } from "vitest";
import { type Host, onHost, TwoHosts } from "../support/network-namespaces.ts";
import { writeConfig } from "../support/processes.ts";

const command = resolve(import.meta.dirname, "../../bin/dormouse");
const port = 8443;
const entries = 12_000;
const deadlineMs = 60_000;

const hosts = TwoHosts.create();
if (typeof hosts === "string") process.stdout.write(`two hosts are not tested here: ${hosts}\n`);

/** Short waits: what is under test is that the drain goes on, not how long a backoff is. */
const replication = {
  request_timeout_ms: 2_000,
  backoff: { base_ms: 100, factor: 2, cap_ms: 1_000, probe_ms: 1_000 },
};

it.skipIf(typeof hosts === "string")(
  "a link that is cut in the middle of a drain between two hosts and healed: the drain finishes without a write or a restart",
  { timeout: 180_000 },
  async () => {
    if (typeof hosts === "string") return;
    using cable = hosts;
    await using folder = await temporaryFolder();
    await makeCertificate(folder.path, [cable.a, cable.b]);
    await using calgary = new HostedSite(folder.path, "calgary", cable.a);
    await using zurich = new HostedSite(folder.path, "zurich", cable.b);
    await calgary.init("primary", zurich);
    await zurich.init("backup", calgary);
    await zurich.serve();
    await calgary.serve();
    const vault = await createVault(calgary);

    const before = cable.sentBytes();
    const imported = importEntries(calgary, vault, folder.path);
    await until(() => cable.sentBytes() > before + 300_000);
    cable.cut();
    await imported;
    const cut = await calgary.status();
    expect(cut.dirty).toBeGreaterThan(0);
    expect(cut.head).not.toBe((await zurich.status()).head);

    cable.heal();
    await until(async () => (await calgary.status()).dirty === 0);
    const [here, there] = [await calgary.status(), await zurich.status()];
    expect(there.head).toBe(here.head);
    expect(there.digest).toBe(here.digest);
    expect(here.digest).toMatch(/^[0-9a-f]{64}$/);
  },
);

type Status = { readonly head: string; readonly digest: string; readonly dirty: number };

/** A site with TLS on a host of its own, reached only by commands that run on that host. */
class HostedSite implements AsyncDisposable {
  readonly name: string;
  readonly host: Host;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #output = "";

  constructor(folder: string, name: string, host: Host) {
    this.#folder = folder;
    this.name = name;
    this.host = host;
  }

  get url(): string {
    return `https://${this.host.address}:${port}`;
  }

  async init(role: "primary" | "backup", peer: HostedSite): Promise<void> {
    const config = {
      edition: "commercial",
      site: this.name,
      data: `./${this.name}`,
      listen: { host: this.host.address, port, tls: { cert: "./cert.pem", key: "./key.pem" } },
      public_url: this.url,
      replication: {
        peers: [{ site: peer.name, url: peer.url, token_file: "./pair.token", tls: { ca: "./cert.pem" } }],
        ...replication,
      },
    };
    await writeConfig(this.#path(`${this.name}.yaml`), config);
    const printed = await this.run([
      "init",
      "--config",
      this.#path(`${this.name}.yaml`),
      "--role",
      role,
      "--json",
    ]);
    const { operator_token: token } = JSON.parse(printed) as { operator_token: string };
    await writeFile(this.#tokenPath, token, { mode: 0o600 });
  }

  async serve(): Promise<void> {
    const child = this.#spawn(["serve", "--config", this.#path(`${this.name}.yaml`)]);
    this.#child = child;
    await until(() => this.#output.includes("listening") || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(`${this.name} did not start:\n${this.#output}`);
  }

  async status(): Promise<Status> {
    return JSON.parse(await this.call("status", "--json")) as Status;
  }

  /** A client's command on this host, with the operator's token. */
  call(...args: readonly string[]): Promise<string> {
    return this.run([...args, "--url", this.url, "--token-file", this.#tokenPath]);
  }

  async run(args: readonly string[]): Promise<string> {
    const child = this.#spawn(args);
    let printed = "";
    child.stdout?.on("data", (text: string) => {
      printed += text;
    });
    const [status] = (await once(child, "close")) as [number | null];
    if (status !== 0)
      throw new Error(`dormouse ${args[0]} on ${this.name} ended with ${status}:\n${this.#output}`);
    return printed;
  }

  #spawn(args: readonly string[]): ChildProcess {
    const [program = "", ...rest] = onHost(this.host, command, ...args);
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: this.#path("cert.pem") };
    const child = spawn(program, rest, { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        this.#output += text;
      });
    }
    return child;
  }

  get #tokenPath(): string {
    return this.#path(`${this.name}.operator.token`);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "dormouse-hosts-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** One certificate for both hosts, which is its own authority. */
async function makeCertificate(folder: string, on: readonly Host[]): Promise<void> {
  const altNames = on.map(({ address }) => ({ type: 7 as const, ip: address }));
  const made = await generate([{ name: "commonName", value: "dormouse" }], {
    keySize: 2048,
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames },
    ],
  });
  await writeFile(join(folder, "cert.pem"), made.cert);
  await writeFile(join(folder, "key.pem"), made.private);
  await chmod(join(folder, "key.pem"), 0o600);
}

type Vault = { readonly vaultId: string; readonly tokenPath: string };

async function createVault(site: HostedSite): Promise<Vault> {
  const tokenPath = join(tmpdir(), `dormouse-vault-${process.pid}.token`);
  await rm(tokenPath, { force: true });
  const printed = await site.call("vault", "create", "cable", "--id-only", "--token-out", tokenPath);
  return { vaultId: printed.trim(), tokenPath };
}

/** Each entry with some bytes that no compression takes away, so that the cable has something to carry. */
async function importEntries(site: HostedSite, { vaultId, tokenPath }: Vault, folder: string): Promise<void> {
  const file = join(folder, "entries.jsonl");
  const lines = Array.from({ length: entries }, (_, index) => {
    const notes = Buffer.from(crypto.getRandomValues(new Uint8Array(150))).toString("base64");
    return JSON.stringify({ type: "note", title: `Note ${index}`, notes });
  });
  await writeFile(file, `${lines.join("\n")}\n`);
  await site.run(["import", file, "--vault", vaultId, "--url", site.url, "--token-file", tokenPath]);
  await rm(tokenPath, { force: true });
}

/** Another process or the kernel brings about what is waited for, and neither tells. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error("it did not come about in time");
    await new Promise((done) => setTimeout(done, 10));
  }
}
