import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { type AddressInfo, connect as connectPlain } from "node:net";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { describe, expect, it, vi } from "vitest";
import {
  fingerprintOf,
  type Identity,
  inDays,
  makeAuthority,
  makeIdentity,
} from "../support/certificates.ts";
import { freePort, initCommunitySite, type SiteProcess, Sites } from "../support/processes.ts";
import { backupWhere, initTlsPair, trust, writeIdentity, writeVault } from "../support/tls-pair.ts";

/** Two real sites that speak TLS, and what each refuses. */

// Several processes start in each test, and the machine may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

const authority = await makeAuthority("the pair's authority");
const calgary = await makeIdentity("calgary", { ca: authority });
const zurich = await makeIdentity("zurich", { ca: authority });
// Of two certificates of one name, OpenSSL may look at the wrong one when both are trusted.
const lonelyCalgary = await makeIdentity("calgary alone");
const lonelyZurich = await makeIdentity("zurich alone");
const fast = { backoff: { base_ms: 50, cap_ms: 200 } };

const asleep = (peer: { state: string; acked: string | null }, head: string) =>
  peer.state === "asleep" && peer.acked === head;
const failed = (peer: { last_error: string | null }) => peer.last_error !== null;

async function inSites<T>(use: (sites: Sites) => Promise<T>): Promise<T> {
  await using sites = await Sites.inTemporaryFolder();
  await writeFile(join(sites.folder, "ca.crt"), authority.cert);
  trust(authority);
  return await use(sites);
}

describe("a pair over TLS replicates", () => {
  it("with self-signed certificates that are pinned by their fingerprints", async () => {
    await inSites(async (sites) => {
      const pair = await initTlsPair(sites, {
        calgary: { identity: lonelyCalgary, demands: { fingerprint: fingerprintOf(lonelyZurich) } },
        zurich: { identity: lonelyZurich, demands: { fingerprint: fingerprintOf(lonelyCalgary) } },
      });
      await pair.zurich.start();
      await pair.calgary.start();
      await writeVault(pair.calgary);
      expect(await backupWhere(pair.calgary, asleep)).toMatchObject({ last_error: null });
    });
  });

  it("with certificates of one authority, which each must show as a caller too", async () => {
    await inSites(async (sites) => {
      const client = (site: string) => ({ cert: `${site}.crt`, key: `${site}.key` });
      const pair = await initTlsPair(sites, {
        calgary: {
          identity: calgary,
          demands: { ca: "ca.crt", ...client("calgary") },
          listen: { client_ca: "ca.crt" },
        },
        zurich: {
          identity: zurich,
          demands: { ca: "ca.crt", ...client("zurich") },
          listen: { client_ca: "ca.crt" },
        },
      });
      await pair.zurich.start();
      await pair.calgary.start();
      // Whoever is no peer, as this call, needs no certificate.
      await writeVault(pair.calgary);
      expect(await backupWhere(pair.calgary, asleep)).toMatchObject({ last_error: null });
    });
  });
});

describe("last_error names", () => {
  /** What calgary says of a running zurich. */
  const errorOf = (sides: {
    readonly demands: object;
    readonly zurich: Identity;
    readonly listen?: object;
  }): Promise<string | null> =>
    inSites(async (sites) => {
      const { demands, zurich: identity, listen = {} } = sides;
      const pair = await initTlsPair(
        sites,
        {
          calgary: { identity: calgary, demands: { ...demands } },
          zurich: { identity, demands: { ca: "ca.crt" }, listen: { ...listen } },
        },
        fast,
      );
      await pair.zurich.start();
      await pair.calgary.start();
      const { last_error: error } = await backupWhere(pair.calgary, failed);
      expect(pair.zurich.output).not.toMatch(/"route":"\/api\/replication.*"status":200/);
      return error;
    });

  it("a certificate that is not the pinned one", async () => {
    const demands = { fingerprint: fingerprintOf(calgary) };
    expect(await errorOf({ demands, zurich })).toBe("the peer's certificate is not the pinned one");
  });

  it("a certificate of another authority", async () => {
    expect(await errorOf({ demands: { ca: "ca.crt" }, zurich: lonelyZurich })).toMatch(/of no authority/);
  });

  it("a client certificate that is missing", async () => {
    const listen = { client_ca: "ca.crt" };
    expect(await errorOf({ demands: { ca: "ca.crt" }, zurich, listen })).toBe(
      "the peer asks for a client certificate, and was shown none",
    );
  });

  it("an expired certificate, and not a request reaches whoever shows it", async () => {
    await inSites(async (sites) => {
      let requests = 0;
      const old = await makeIdentity("zurich", { ca: authority, from: inDays(-30), to: inDays(-1) });
      const server = createServer(old, () => void (requests += 1));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      const url = `https://127.0.0.1:${port}`;
      const site = await sites.init(
        {
          edition: "commercial",
          site: "calgary",
          replication: {
            peers: [{ site: "zurich", url, token_file: "./pair.token", tls: { ca: "ca.crt" } }],
            ...fast,
          },
        },
        { port: await freePort(), role: "primary" },
      );
      await site.start();
      const { last_error: error } = await backupWhere(site, failed);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      expect(error).toBe("the peer's certificate expired");
      expect(requests).toBe(0);
      expect(site.output).not.toContain(`127.0.0.1:${port}`);
    });
  });
});

async function open(port: number): Promise<{ readonly socket: TLSSocket; readonly fingerprint: string }> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await new Promise((resolve, fail) => socket.once("secureConnect", resolve).once("error", fail));
  const cert = socket.getPeerX509Certificate()?.toString() ?? "";
  return { socket, fingerprint: fingerprintOf({ cert }) };
}

/** Sends a call on an open connection and resolves with the head of its answer. */
function ask({ socket }: { readonly socket: TLSSocket }): Promise<string> {
  const answered = new Promise<string>((resolve, fail) => {
    socket.once("data", (chunk: Buffer) => resolve(chunk.toString())).once("close", fail);
  });
  socket.write("GET /healthz HTTP/1.1\r\nhost: calgary\r\n\r\n");
  return answered;
}

async function logs(site: SiteProcess, text: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!site.output.includes(text)) {
    if (performance.now() > deadline) throw new Error(`"${text}" was not logged:\n${site.output}`);
    // Its log is all that the process tells of a signal.
    await new Promise((done) => setTimeout(done, 20));
  }
}

describe("SIGHUP", () => {
  async function initSite(sites: Sites): Promise<{ readonly site: SiteProcess; readonly port: number }> {
    await writeIdentity(sites, "site", lonelyCalgary);
    trust(lonelyCalgary);
    const port = await freePort();
    const listen = { host: "127.0.0.1", port, tls: { cert: "site.crt", key: "site.key" } };
    const config = { edition: "community", site: "calgary", listen };
    const site = await sites.init(config, { port, role: "primary", scheme: "https" });
    await site.start();
    return { site, port };
  }

  it("shows new connections the renewed certificate, and goes on serving those that are open", async () => {
    await inSites(async (sites) => {
      const { site, port } = await initSite(sites);
      const before = await open(port);
      expect(await ask(before)).toContain(" 200 ");
      await writeIdentity(sites, "site", lonelyZurich);
      process.kill(site.pid, "SIGHUP");
      await logs(site, "reloaded the TLS certificate");
      const after = await open(port);
      expect([before.fingerprint, after.fingerprint]).toEqual([
        fingerprintOf(lonelyCalgary),
        fingerprintOf(lonelyZurich),
      ]);
      expect(await ask(before)).toContain(" 200 ");
      expect(await ask(after)).toContain(" 200 ");
      before.socket.destroy();
      after.socket.destroy();
    });
  });

  it("with files that cannot serve keeps the certificate, and says what would be right", async () => {
    await inSites(async (sites) => {
      const { site, port } = await initSite(sites);
      await writeFile(join(sites.folder, "site.crt"), lonelyZurich.cert);
      process.kill(site.pid, "SIGHUP");
      await logs(site, "the certificate in use stays");
      expect(site.output).toContain("is not the key of this certificate; name the two files");
      const after = await open(port);
      expect(after.fingerprint).toBe(fingerprintOf(lonelyCalgary));
      after.socket.destroy();
    });
  });

  it("on one site after the other carries a pair over the renewal of a pinned certificate", async () => {
    await inSites(async (sites) => {
      const old = fingerprintOf(lonelyZurich);
      const pair = await initTlsPair(
        sites,
        {
          calgary: { identity: calgary, demands: { fingerprint: old } },
          zurich: { identity: lonelyZurich, demands: { ca: "ca.crt" } },
        },
        fast,
      );
      await pair.zurich.start();
      await writeIdentity(sites, "zurich", zurich);
      process.kill(pair.zurich.pid, "SIGHUP");
      await logs(pair.zurich, "reloaded the TLS certificate");
      // Not before: over a connection that is open already, all would go on.
      await pair.calgary.start();
      await writeVault(pair.calgary);
      const refused = await backupWhere(
        pair.calgary,
        ({ last_error: error }) => error?.includes("pinned") === true,
      );
      expect(refused.last_error).toBe("the peer's certificate is not the pinned one");

      const config = await readFile(pair.calgary.configPath, "utf8");
      await writeFile(pair.calgary.configPath, config.replace(old, fingerprintOf(zurich)));
      process.kill(pair.calgary.pid, "SIGHUP");
      expect(await backupWhere(pair.calgary, asleep)).toMatchObject({ last_error: null });
    });
  });

  it("does not end a site that has nothing to reload", async () => {
    await inSites(async (sites) => {
      const site = await initCommunitySite(sites);
      await site.start();
      process.kill(site.pid, "SIGHUP");
      expect(await site.stop()).toBe(0);
      expect(site.output).toContain("stopping");
    });
  });
});

it("a site that stops waits for nobody's handshake", async () => {
  await inSites(async (sites) => {
    const pair = await initTlsPair(sites, {
      calgary: { identity: calgary, demands: { ca: "ca.crt" } },
      zurich: { identity: zurich, demands: { ca: "ca.crt" } },
    });
    await pair.zurich.start();
    const silent = connectPlain(Number(new URL(pair.zurich.url).port), "127.0.0.1");
    const closed = new Promise((resolve) =>
      silent
        .once("close", resolve)
        .on("error", () => undefined)
        .resume(),
    );
    await new Promise((resolve) => silent.once("connect", resolve));
    const beganMs = performance.now();
    expect(await pair.zurich.stop()).toBe(0);
    await closed;
    expect(performance.now() - beganMs).toBeLessThan(5_000);
  });
});
