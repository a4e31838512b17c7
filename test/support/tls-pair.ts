import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import type { Identity } from "./certificates.ts";
import { call, type Config, freePort, type Pair, type Sites, type SiteProcess } from "./processes.ts";

/** One site of a pair over TLS. Paths in `demands` and `listen` are relative to the folder of the sites. */
export type TlsSide = {
  readonly identity: Identity;
  /** What it demands of the other: `tls` of its peer. */
  readonly demands: Config;
  /** Further keys of `listen.tls`. */
  readonly listen?: Config;
};

/**
 * The pair over TLS, initialised and not started: calgary the primary, zurich its backup. Their certificates are written as
 * calgary.crt, calgary.key, zurich.crt and zurich.key, and this process trusts them in its calls.
 */
export async function initTlsPair(
  sites: Sites,
  sides: { readonly calgary: TlsSide; readonly zurich: TlsSide },
  replication: Config = {},
): Promise<Pair> {
  const ports = { calgary: await freePort(), zurich: await freePort() };
  const own = (site: "calgary" | "zurich", peer: "calgary" | "zurich") => ({
    edition: "commercial",
    site,
    listen: {
      host: "127.0.0.1",
      port: ports[site],
      tls: { cert: `${site}.crt`, key: `${site}.key`, ...sides[site].listen },
    },
    replication: {
      peers: [
        {
          site: peer,
          url: `https://127.0.0.1:${ports[peer]}`,
          token_file: "./pair.token",
          ...(Object.keys(sides[site].demands).length > 0 && { tls: sides[site].demands }),
        },
      ],
      ...replication,
    },
  });
  const { calgary, zurich } = sides;
  await writeIdentity(sites, "calgary", calgary.identity);
  await writeIdentity(sites, "zurich", zurich.identity);
  trust(calgary.identity, zurich.identity);
  const options = { scheme: "https" } as const;
  return {
    calgary: await sites.init(own("calgary", "zurich"), { ...options, port: ports.calgary, role: "primary" }),
    zurich: await sites.init(own("zurich", "calgary"), { ...options, port: ports.zurich, role: "backup" }),
  };
}

export async function writeIdentity(sites: Sites, name: string, { cert, key }: Identity): Promise<void> {
  await writeFile(join(sites.folder, `${name}.crt`), cert);
  await writeFile(join(sites.folder, `${name}.key`), key, { mode: 0o600 });
}

/** This process takes the certificates, too, in what it calls from now on. */
export function trust(...identities: readonly Pick<Identity, "cert">[]): void {
  setDefaultCACertificates([...getCACertificates("default"), ...identities.map(({ cert }) => cert)]);
}

type Status = {
  readonly head: string;
  readonly peers: readonly {
    readonly state: string;
    readonly acked: string | null;
    readonly last_error: string | null;
  }[];
};

/** What the primary's status shows of its only backup, once `isThere` holds. */
export async function backupWhere(
  primary: SiteProcess,
  isThere: (peer: Status["peers"][number], head: string) => boolean,
): Promise<Status["peers"][number]> {
  const deadline = performance.now() + 40_000;
  while (performance.now() < deadline) {
    const { head, peers } = (await call(primary, { path: "/api/replication" })).body as Status;
    const [peer] = peers;
    if (peer && isThere(peer, head)) return peer;
    // Another process drains: there is no event to wait for.
    await new Promise((done) => setTimeout(done, 30));
  }
  throw new Error(`${primary.site} did not come so far:\n${primary.output}`);
}

export async function writeVault(primary: SiteProcess): Promise<void> {
  const made = await call(primary, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
  if (made.status !== 201) throw new Error(`the vault was answered ${made.status}:\n${primary.output}`);
}
