import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { init } from "../../src/app/init.ts";
import type { ReplicationStatus } from "../../src/protocol/replication-status.ts";
import { freePort, writeConfig } from "../../test/support/processes.ts";
import { Child } from "./child.ts";
import { Client } from "./client.ts";
import { instantMs, pause } from "./instant.ts";

export type Vault = { readonly vaultId: string; readonly token: string; readonly path: string };

type SiteFiles = { readonly configPath: string; readonly url: string; readonly operatorToken: string };

/** One site in a process of its own, over a configuration that the benchmark has written. */
export class BenchSite implements AsyncDisposable {
  readonly files: SiteFiles;
  #child: Child | null = null;

  constructor(files: SiteFiles) {
    this.files = files;
  }

  get child(): Child {
    if (!this.#child) throw new Error("the site does not run");
    return this.#child;
  }

  /** @param nodeArgs arguments of Node's own */
  async start(...nodeArgs: readonly string[]): Promise<void> {
    this.#child = await Child.startWith(nodeArgs, "support/site-process.ts", this.files.configPath);
  }

  async stop(): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
    this.#child = null;
  }

  operator(): Client {
    return new Client(this.files.url, this.files.operatorToken);
  }

  async status(): Promise<ReplicationStatus> {
    await using operator = this.operator();
    return await operator.call<ReplicationStatus>("GET", "/api/replication");
  }

  async createVault(): Promise<Vault> {
    await using operator = this.operator();
    const made = await operator.call<{ vault_id: string; token: string }>(
      "POST",
      "/api/vaults",
      '{"name":"Harbour"}',
    );
    return { vaultId: made.vault_id, token: made.token, path: `/api/vaults/${made.vault_id}/entries` };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Node's arguments for a site that seals nothing and opens no vault's key. */
export const withoutSealing = ["--import", join(import.meta.dirname, "without-sealing/hook.ts")];

export type BenchPair = { readonly calgary: BenchSite; readonly zurich: BenchSite };

/**
 * A primary and its backup, initialised and not started, in a folder of their own below `folder`.
 * @param way what stands between: given the backup's port, it returns the one at which the primary finds it
 */
export async function makePair(
  folder: string,
  name: string,
  way: (port: number) => Promise<number> = async (port) => port,
): Promise<BenchPair> {
  const place = join(folder, name);
  await mkdir(place);
  const [calgaryPort, zurichPort] = [await freePort(), await freePort()];
  const peer = (site: string, port: number) => ({
    replication: { peers: [{ site, url: `http://127.0.0.1:${port}`, token_file: "./pair.token" }] },
  });
  // The primary's init makes the pair's token file, the backup's reads it.
  const calgary = await makeSite(place, "calgary", calgaryPort, peer("zurich", await way(zurichPort)));
  const zurich = await makeSite(place, "zurich", zurichPort, peer("calgary", calgaryPort));
  return { calgary, zurich };
}

/**
 * A site without any other, initialised and not started.
 * @param settings of its configuration file, beside those that every site has
 */
export async function makeCommunitySite(
  folder: string,
  name: string,
  settings: object = {},
): Promise<BenchSite> {
  const place = join(folder, name);
  await mkdir(place);
  return makeSite(place, "calgary", await freePort(), settings);
}

async function makeSite(place: string, site: string, port: number, also: object): Promise<BenchSite> {
  const configPath = join(place, `${site}.yaml`);
  const url = `http://127.0.0.1:${port}`;
  const edition = "replication" in also ? "commercial" : "community";
  await writeConfig(configPath, {
    edition,
    site,
    data: `./${site}`,
    listen: { host: "127.0.0.1", port },
    public_url: url,
    ...also,
  });
  const { operatorToken } = await init({ configPath, role: site === "zurich" ? "backup" : "primary" });
  return new BenchSite({ configPath, url, operatorToken });
}

/** Resolves when everything is acknowledged and the worker sleeps. */
export async function drained(primary: BenchSite): Promise<ReplicationStatus> {
  for (;;) {
    const askedMs = instantMs();
    const status = await primary.status();
    const peers = status.peers ?? [];
    if (peers.every(({ state, acked }) => state === "asleep" && acked === status.head)) return status;
    // A primary counts what waits for each answer: with many rows, asking often would hold up what is awaited.
    await pause(Math.max(20, 4 * (instantMs() - askedMs)));
  }
}

/** The seq in an ETag such as `"1:7"`. */
export function seqOf(etag: string): number {
  return Number(/:(\d+)"$/.exec(etag)?.[1]);
}
