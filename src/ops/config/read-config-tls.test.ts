import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Refusal } from "../../core/errors.ts";
import type { PeerTls } from "../../core/peer-tls.ts";
import { readConfig } from "./read-config.ts";

const calgary = await generate([{ name: "commonName", value: "calgary.example" }], { keyType: "ec" });
const zurich = await generate([{ name: "commonName", value: "zurich.example" }], { keyType: "ec" });
const fingerprint = new X509Certificate(zurich.cert).fingerprint256;
const sealedKey = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "hunter2" },
}).privateKey;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-config-"));
  await put("zurich.token", `dms_${"0a".repeat(16)}_${"s".repeat(43)}check1`);
  await put("calgary.crt", calgary.cert, 0o644);
  await put("calgary.key", calgary.private);
  await put("zurich.crt", zurich.cert, 0o644);
});
afterEach(() => rm(folder, { recursive: true }));

async function put(name: string, text: string, mode = 0o600): Promise<void> {
  await writeFile(join(folder, name), text);
  await chmod(join(folder, name), mode);
}

type Parts = { readonly peer?: string; readonly listen?: string; readonly url?: string };

const file = ({ peer, listen = "port: 8200", url = "https://zurich.example" }: Parts): string =>
  `edition: commercial
site: calgary
data: ./calgary
listen: { ${listen} }
replication:
  peers:
    - site: zurich
      url: ${url}
      token_file: ./zurich.token
${peer === undefined ? "" : `      tls: ${peer}\n`}`;

async function read(parts: Parts) {
  await put("site.yaml", file(parts));
  return readConfig(join(folder, "site.yaml"));
}

async function peerTls(peer: string): Promise<PeerTls | undefined> {
  const config = await read({ peer });
  return config.edition === "commercial" ? config.replication.peers[0]?.tls : undefined;
}

async function refusalOf(parts: Parts): Promise<Refusal> {
  const outcome = await read(parts).catch((error: unknown) => error);
  if (outcome instanceof Refusal) return outcome;
  throw new Error("the configuration was taken", { cause: outcome });
}

async function mistakesOf(parts: Parts): Promise<string[]> {
  return (await refusalOf(parts)).mistakes.map(({ path, message }) => `${path}: ${message}`);
}

describe("what is demanded of a peer", () => {
  test("carries the contents of the files, and the fingerprint in one form", async () => {
    const own = { cert: calgary.cert, key: calgary.private.trim() };
    expect(await peerTls(`{ ca: zurich.crt, cert: calgary.crt, key: calgary.key }`)).toEqual({
      ca: zurich.cert,
      fingerprint: null,
      ...own,
    });
    const plain = createHash("sha256").update(new X509Certificate(zurich.cert).raw).digest("hex");
    for (const text of [fingerprint, `"${fingerprint.toLowerCase()}"`, `"${plain}"`, plain.toUpperCase()]) {
      const none = { ca: null, cert: null, key: null };
      expect(await peerTls(`{ fingerprint: ${text} }`)).toEqual({ ...none, fingerprint: plain });
    }
  });

  test.each(["abc", "00:11", `"${"0".repeat(63)}"`, `"${"g".repeat(64)}"`, "12345"])(
    "a fingerprint that is none is refused: %s",
    async (text) => {
      expect(await mistakesOf({ peer: `{ fingerprint: ${text} }` })).toEqual([
        "line 10, replication.peers[0].tls.fingerprint: must be the SHA-256 fingerprint of a certificate: 64 hex digits, with or without colons",
      ]);
    },
  );

  test("nothing in it, half a pair, or no https to use it on is refused, each with its line", async () => {
    expect(await mistakesOf({ peer: "{}" })).toEqual([
      expect.stringMatching(/^line 10, replication\.peers\[0\]\.tls: is empty; name ca or fingerprint/),
    ]);
    expect(await mistakesOf({ peer: "{ cert: calgary.crt }" })).toEqual([
      expect.stringMatching(/^line 10, replication\.peers\[0\]\.tls\.key: is missing; cert alone proves/),
    ]);
    expect(await mistakesOf({ peer: "{ key: calgary.key }" })).toEqual([
      expect.stringMatching(/^line 10, replication\.peers\[0\]\.tls\.cert: is missing; key alone proves/),
    ]);
    expect(await mistakesOf({ peer: "{ ca: zurich.crt }", url: "http://127.0.0.1:8201" })).toEqual([
      expect.stringMatching(/^line 10, replication\.peers\[0\]\.tls: needs a url that begins with https/),
    ]);
  });

  test("every file that cannot serve is told at once, by what is wrong with it", async () => {
    await put("ca.crt", "nothing");
    await put("open.key", calgary.private, 0o640);
    const mistakes = await mistakesOf({
      peer: "{ ca: ca.crt, cert: none.crt, key: open.key, fingerprint: 5, pin: x }",
      listen: "tls: { cert: calgary.crt, key: ca.crt, client_ca: calgary.key }",
    });
    expect(mistakes).toEqual([
      expect.stringMatching(/^line 4, listen\.tls\.key: names a file without a private key: .*PEM/),
      expect.stringMatching(/^line 4, listen\.tls\.client_ca: names a file without a certificate/),
      expect.stringMatching(/^line 10, .*\.tls\.fingerprint: must be the SHA-256/),
      expect.stringMatching(
        /^line 10, .*\.tls\.pin: is unknown; the keys here are ca, fingerprint, cert, key/,
      ),
      expect.stringMatching(/^line 10, .*\.tls\.ca: names a file without a certificate/),
      expect.stringMatching(/^line 10, .*\.tls\.cert: names a file that does not exist/),
      expect.stringMatching(/^line 10, .*\.tls\.key: names a file that others can read \(mode 0640\)/),
    ]);
  });

  test("a key that others can read is refused as file_exposed, where it is the only mistake", async () => {
    await chmod(join(folder, "calgary.key"), 0o604);
    expect((await refusalOf({ peer: "{ cert: calgary.crt, key: calgary.key }" })).code).toBe("file_exposed");
  });
});

describe("the site's own certificate", () => {
  const listen = "tls: { cert: calgary.crt, key: calgary.key }";

  test("with its key, and perhaps the certificates between it and its authority, is taken", async () => {
    await put("calgary.crt", `# calgary\n${calgary.cert}\n${zurich.cert}`);
    expect((await read({ listen })).listen.tls).toEqual({
      certFile: join(folder, "calgary.crt"),
      keyFile: join(folder, "calgary.key"),
      clientCaFile: null,
    });
  });

  test.each([
    ["another certificate's key", zurich.private, /is not the key of this certificate/],
    ["a key with a passphrase", sealedKey, /needs a passphrase/],
    ["a certificate in the key's place", calgary.cert, /without a private key/],
  ])("%s is refused", async (_, key, expected) => {
    await put("calgary.key", key);
    const mistakes = await mistakesOf({ listen });
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toMatch(/^line 4, listen\.tls\.key: /);
    expect(mistakes[0]).toMatch(expected);
  });

  test("a certificate that is damaged is told from one that is not there", async () => {
    await put("calgary.crt", calgary.cert.replace(/\n.{10}/, "\nAAAAAAAAAA"));
    expect((await mistakesOf({ listen }))[0]).toMatch(/^line 4, listen\.tls\.cert: .*damaged/);
    await put("calgary.crt", calgary.private);
    expect((await mistakesOf({ listen }))[0]).toMatch(/^line 4, listen\.tls\.cert: .*without a certificate/);
  });
});

describe("plain http beyond this machine", () => {
  const proxies = 'behind_proxy: [10.0.0.0/24, "fd00::/8"]';

  test.each(["http://10.0.0.7:8201", "http://[fd00::7]:8201"])(
    "leads to a proxy that behind_proxy names: %s",
    async (url) => {
      expect((await read({ url, listen: proxies })).edition).toBe("commercial");
    },
  );

  test.each(["http://10.0.1.7:8201", "http://[fe80::7]:8201", "http://proxy.example"])(
    "leads to no proxy that it names, and is refused with what would be right: %s",
    async (url) => {
      expect(await mistakesOf({ url, listen: proxies })).toEqual([
        expect.stringMatching(
          /^line 8, replication\.peers\[0\]\.url: must begin with https.*listen\.behind_proxy/,
        ),
      ]);
    },
  );
});
