import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { type Logger, pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  fingerprintOf,
  type Identity,
  inDays,
  makeAuthority,
  makeIdentity,
} from "../../test/support/certificates.ts";
import { type HttpSite, openHttpSite } from "../../test/support/http-site.ts";
import { Refusal } from "../core/errors.ts";
import type { ListenTls } from "../ops/config/config.ts";
import { readServerTls, reloadTls, ShownCertificate, warnBeforeExpiry } from "./tls-reload.ts";

const old = await makeIdentity("calgary");
const renewed = await makeIdentity("calgary");

let folder: string;
let files: ListenTls;
let site: HttpSite;
let known: ShownCertificate;
let logged: string[];
let log: Logger;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-tls-"));
  files = { certFile: join(folder, "site.crt"), keyFile: join(folder, "site.key"), clientCaFile: null };
  await put(old);
  const tls = await readServerTls(files);
  site = await openHttpSite({ tls });
  known = new ShownCertificate();
  known.take(tls);
  await site.app.listen({ host: "127.0.0.1", port: 0 });
  logged = [];
  log = pino({}, { write: (line: string) => void logged.push(line) });
});

afterEach(async () => {
  await site.close();
  await rm(folder, { recursive: true });
});

async function put({ cert, key }: Identity): Promise<void> {
  await writeFile(files.certFile, cert);
  await writeFile(files.keyFile, key);
  await chmod(files.keyFile, 0o600);
}

/** The fingerprint that a new connection is shown. */
async function shown(): Promise<string> {
  const { port } = site.app.server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await new Promise((resolve, fail) => socket.once("secureConnect", resolve).once("error", fail));
  const cert = socket.getPeerX509Certificate()?.toString() ?? "";
  socket.destroy();
  return fingerprintOf({ cert });
}

const reload = () => reloadTls({ files, server: site.app, shown: known, log });

test("new connections are shown what lies in the files after a reload, and the operator is told until when", async () => {
  await put(renewed);
  expect(await shown()).toBe(fingerprintOf(old));
  expect(known.fingerprint).toBe(fingerprintOf(old));
  expect(await reload()).toMatch(
    /^the TLS certificate, which expires on \d{4}-\d\d-\d\d \(in 36[45] days\)$/,
  );
  expect(await shown()).toBe(fingerprintOf(renewed));
  expect(known.fingerprint).toBe(fingerprintOf(renewed));
  expect(logged).toHaveLength(1);
});

const breakages: readonly [string, () => Promise<void>, RegExp][] = [
  ["another certificate's key", () => writeFile(files.certFile, renewed.cert), /key is not the key of this/],
  [
    "a certificate that is half written",
    () => writeFile(files.certFile, old.cert.slice(0, 200)),
    /without a/,
  ],
  ["a file that is gone", () => rm(files.certFile), /cert names a file that does not exist/],
  ["a key that others can read", () => chmod(files.keyFile, 0o644), /chmod 600/],
  ["a key that is none", () => writeFile(files.keyFile, "x"), /key names a file without a private key/],
  [
    "a certificate that has expired",
    async () => put(await makeIdentity("calgary", { from: inDays(-9), to: inDays(-1) })),
    /expired: .*put the renewed one there/,
  ],
];

test.each(breakages)(
  "%s leaves the certificate in use, and the log says what would be right",
  async (_, breakIt, words) => {
    await breakIt();
    expect(await reload()).toMatch(words);
    expect(await shown()).toBe(fingerprintOf(old));
    expect(known.fingerprint).toBe(fingerprintOf(old));
    expect(logged).toHaveLength(1);
    const line = JSON.parse(logged[0] ?? "") as { level: number; reasons: string };
    expect(line.level).toBe(50);
    expect(line.reasons).toMatch(words);
    expect(line.reasons).toContain(folder);
    expect(logged.join("")).not.toContain("PRIVATE");
    await put(renewed);
    await reload();
    expect(await shown()).toBe(fingerprintOf(renewed));
  },
);

test("files that cannot serve are refused before anything listens, all mistakes at once", async () => {
  await rm(files.certFile);
  await chmod(files.keyFile, 0o604);
  const refusal = await readServerTls(files).catch((error: unknown) => error);
  expect(refusal instanceof Refusal && refusal.mistakes.map(({ path }) => path)).toEqual([
    "listen.tls.cert",
    "listen.tls.key",
  ]);
});

test("a client authority is read again too", async () => {
  const authority = await makeAuthority("the pair's authority");
  const clientCaFile = join(folder, "clients.crt");
  await writeFile(clientCaFile, authority.cert);
  expect((await readServerTls({ ...files, clientCaFile })).clientCa).toBe(authority.cert);
  await writeFile(clientCaFile, "x");
  expect(await reloadTls({ files: { ...files, clientCaFile }, server: site.app, shown: known, log })).toMatch(
    /listen\.tls\.client_ca names a file without a certificate/,
  );
});

test.each([
  [22, 0],
  [20, 1],
  [-1, 1],
])("a certificate with %i days left is told of in so many lines: %i", async (days, lines) => {
  warnBeforeExpiry(await makeIdentity("calgary", { from: inDays(-40), to: inDays(days) }), log);
  expect(logged).toHaveLength(lines);
  for (const line of logged) expect(line).toMatch(/renew it/);
});
