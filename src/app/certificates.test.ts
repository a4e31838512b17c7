import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import {
  fingerprintOf,
  type Identity,
  inDays,
  makeAuthority,
  makeIdentity,
} from "../../test/support/certificates.ts";
import {
  clientCertificate,
  describeExpiry,
  ownCertificate,
  peerCertificate,
  pinFor,
} from "./certificates.ts";

const authority = await makeAuthority("the pair's authority");
const zurich = await makeIdentity("zurich", { ca: authority, to: inDays(10) });
const lonely = await makeIdentity("zurich alone");
const elsewhere = await makeIdentity("zurich", { ca: authority, hosts: ["zurich.example"] });
const none = { ca: null, fingerprint: null, cert: null, key: null };
const timeoutMs = 1_000;

let server: Server | undefined;
let received = "";

afterEach(async () => {
  if (server?.listening === true) await new Promise((resolve) => server?.close(resolve));
});

async function listen(made: Server): Promise<string> {
  server = made;
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  return `https://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

function show(identity: Identity): Promise<string> {
  received = "";
  const made = createTlsServer(identity, (socket) => {
    socket.on("error", () => undefined).on("data", (chunk) => (received += chunk.toString()));
  });
  return listen(made);
}

/** X.509 knows whole seconds. */
const about = (date: Date) => Math.floor(date.getTime() / 1_000) * 1_000;

test("a peer's certificate is told with its end, and judged by what is demanded of it; nothing is sent", async () => {
  const url = await show(zurich);
  const found = {
    kind: "shown",
    facts: { fingerprint: fingerprintOf(zurich), expiresAt: expect.any(Number) },
  };
  const pinned = await peerCertificate(
    { url, tls: { ...none, fingerprint: fingerprintOf(zurich) } },
    timeoutMs,
  );
  expect(pinned).toEqual({ ...found, fault: null });
  expect(pinned.kind === "shown" && Math.abs(pinned.facts.expiresAt - about(inDays(10)))).toBeLessThan(
    60_000,
  );
  expect(await peerCertificate({ url, tls: { ...none, ca: authority.cert } }, timeoutMs)).toMatchObject({
    fault: null,
  });
  const wrong = { ...none, fingerprint: "0".repeat(64) };
  expect(await peerCertificate({ url, tls: wrong }, timeoutMs)).toEqual({
    ...found,
    fault: "the peer's certificate is not the pinned one",
  });
  expect(received).toBe("");
});

describe("a certificate that a site was proved to have", () => {
  const before = getCACertificates("default");
  afterEach(() => setDefaultCACertificates(before));
  const checkOf = async (identity: Identity, fingerprint = fingerprintOf(identity)) =>
    await pinFor({ url: await show(identity), fingerprint }, timeoutMs);

  test("is pinned where nobody known vouches for it: self-signed, or of an authority that is unknown here", async () => {
    for (const identity of [lonely, zurich]) {
      expect(await checkOf(identity)).toEqual({ certificate: "pinned", pin: fingerprintOf(identity) });
      await new Promise((resolve) => server?.close(resolve));
    }
  });

  test("is not pinned where a known authority vouches for it: it is renewed under another fingerprint", async () => {
    setDefaultCACertificates([...before, authority.cert]);
    expect(await checkOf(zurich)).toEqual({ certificate: "verified", pin: null });
    expect(received).toBe("");
  });

  test("is pinned where the authority vouches for another host, or what is shown is another one", async () => {
    setDefaultCACertificates([...before, authority.cert]);
    expect(await checkOf(elsewhere)).toMatchObject({ certificate: "pinned" });
    await new Promise((resolve) => server?.close(resolve));
    const other = "0".repeat(64);
    expect(await checkOf(zurich, other)).toEqual({ certificate: "pinned", pin: other });
  });

  test("is pinned where it is its own authority, though that is trusted here: the next one would not be", async () => {
    setDefaultCACertificates([...before, lonely.cert]);
    expect(await checkOf(lonely)).toMatchObject({ certificate: "pinned" });
  });

  test("is pinned where it cannot be seen; and where there is none, nothing is", async () => {
    const pin = fingerprintOf(zurich);
    expect(await pinFor({ url: "https://127.0.0.1:1", fingerprint: pin }, timeoutMs)).toEqual({
      certificate: "pinned",
      pin,
    });
    expect(await pinFor({ url: "https://127.0.0.1:1", fingerprint: null }, timeoutMs)).toEqual({
      certificate: "verified",
      pin: null,
    });
    expect(await pinFor({ url: "http://127.0.0.1:1", fingerprint: null }, timeoutMs)).toEqual({
      certificate: "none",
      pin: null,
    });
  });
});

test("a certificate that has expired is told all the same", async () => {
  const old = await makeIdentity("zurich", { from: inDays(-9), to: inDays(-1) });
  const url = await show(old);
  const found = await peerCertificate({ url, tls: { ...none, fingerprint: fingerprintOf(old) } }, timeoutMs);
  expect(found).toMatchObject({ kind: "shown", fault: "the peer's certificate expired" });
  expect(found.kind === "shown" && found.facts.expiresAt).toBeLessThan(Date.now());
});

test("a peer without TLS, that does not answer, or that says nothing has none", async () => {
  expect(await peerCertificate({ url: "http://127.0.0.1:1", tls: none }, timeoutMs)).toEqual({
    kind: "no_tls",
  });
  const url = await listen(createServer((socket) => void socket.on("error", () => undefined).resume()));
  const silent = await peerCertificate({ url, tls: none }, 300);
  expect(silent).toMatchObject({ kind: "unreachable", reason: expect.stringMatching(/TIMEOUT/) });
  await new Promise((resolve) => server?.close(resolve));
  expect(await peerCertificate({ url, tls: none }, timeoutMs)).toEqual({
    kind: "unreachable",
    reason: "ECONNREFUSED",
  });
});

test("of a file with several certificates the first is the site's, and the soonest end counts", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dormouse-certificates-"));
  const certFile = join(folder, "site.crt");
  const long = await makeIdentity("calgary", { to: inDays(300) });
  await writeFile(certFile, `${long.cert}\n${zurich.cert}`);
  const facts = await ownCertificate({ certFile });
  expect(facts?.fingerprint).toBe(fingerprintOf(long));
  expect(facts?.expiresAt).toBe(clientCertificate(zurich)?.expiresAt);
  await writeFile(certFile, "nothing");
  expect(await ownCertificate({ certFile })).toBe(undefined);
  expect(clientCertificate(none)).toBe(undefined);
  await rm(folder, { recursive: true });
});

test("an end is told by its date and the days that are left", () => {
  const expiresAt = Date.UTC(2027, 1, 3, 12);
  expect(describeExpiry({ expiresAt }, Date.UTC(2027, 0, 1))).toBe("expires on 2027-02-03 (in 33 days)");
  expect(describeExpiry({ expiresAt }, expiresAt - 1)).toBe("expires on 2027-02-03 (in 0 days)");
  expect(describeExpiry({ expiresAt }, expiresAt + 1)).toBe("expired on 2027-02-03");
});
