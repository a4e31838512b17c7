import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  fingerprintOf,
  type Identity,
  inDays,
  makeAuthority,
  makeIdentity,
} from "../../../test/support/certificates.ts";
import { freePort } from "../../../test/support/processes.ts";
import { examine } from "../doctor.ts";
import type { Machine } from "./machine.ts";
import { init } from "../init.ts";

const authority = await makeAuthority("the pair's authority");
const calgary = await makeIdentity("calgary", { ca: authority });
const zurich = await makeIdentity("zurich", { ca: authority });

let folder: string;
let peer: Server;
let asked: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-doctor-"));
  await writeFile(join(folder, "ca.crt"), authority.cert);
  await put("calgary", calgary);
  asked = 0;
});

afterEach(async () => {
  peer.closeAllConnections();
  await new Promise((resolve) => peer.close(resolve));
  await rm(folder, { recursive: true });
});

async function put(name: string, { cert, key }: Identity): Promise<void> {
  await writeFile(join(folder, `${name}.crt`), cert);
  await writeFile(join(folder, `${name}.key`), key, { mode: 0o600 });
}

/** Findings about certificates and the peer, of a site that demands `tls` of a peer that shows `identity`. */
async function findings(identity: Identity, tls: object): Promise<readonly string[]> {
  peer = createServer(identity, (_, response) => {
    asked += 1;
    response.end('{"site":"zurich","role":"backup"}');
  });
  await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(peer.address() as AddressInfo).port}`;
  const listen = { port: await freePort(), tls: { cert: "calgary.crt", key: "calgary.key" } };
  const replication = { peers: [{ site: "zurich", url, token_file: "pair.token", tls }] };
  const config = { edition: "commercial", site: "calgary", data: "./data", listen, replication };
  const configPath = join(folder, "calgary.yaml");
  await writeFile(configPath, JSON.stringify(config));
  await init({ configPath, role: "primary" });
  const machine: Machine = {
    nodeVersion: "24.22.1",
    execArgv: ["--no-memory-reducer"],
    coreBytesMax: 0,
    nowMs: Date.now(),
  };
  const found = await examine({ configPath, machine });
  return found
    .filter(({ check }) => /zurich|certificate/.test(check) && !check.startsWith("clock"))
    .map(({ check, ok, detail }) => `${ok ? "ok" : "BAD"} ${check}: ${detail}`);
}

test("a peer is looked at with the pins that replication has, and each certificate's end is told", async () => {
  const tls = { ca: "ca.crt", fingerprint: fingerprintOf(zurich), cert: "calgary.crt", key: "calgary.key" };
  const valid = /it expires on \d{4}-\d\d-\d\d \(in 36\d days\); SHA-256 [0-9a-f]{64}$/.source;
  expect(await findings(zurich, tls)).toEqual([
    expect.stringMatching(/^ok peer zurich: .* answers; it is a backup/),
    expect.stringMatching(new RegExp(`^ok certificate: ${valid}`)),
    expect.stringMatching(new RegExp(`^ok client certificate for zurich: ${valid}`)),
    expect.stringMatching(new RegExp(`^ok certificate of zurich: ${valid}`)),
  ]);
});

test("a certificate that is not the pinned one is found by name, and the peer is not asked", async () => {
  const [first] = await findings(zurich, { fingerprint: "0".repeat(64) });
  expect(first).toMatch(/^BAD peer zurich: .*: the peer's certificate is not the pinned one$/);
  expect(asked).toBe(0);
});

test("certificates that end soon, or have ended, are found on either side", async () => {
  await put("calgary", await makeIdentity("calgary", { to: inDays(20) }));
  const old = await makeIdentity("zurich", { ca: authority, from: inDays(-30), to: inDays(-1) });
  expect(await findings(old, { ca: "ca.crt" })).toEqual([
    expect.stringMatching(/^BAD peer zurich: .*: the peer's certificate expired$/),
    expect.stringMatching(/^BAD certificate: it expires on .* \(in 19 days\)/),
    expect.stringMatching(/^BAD certificate of zurich: it expired on /),
  ]);
});
