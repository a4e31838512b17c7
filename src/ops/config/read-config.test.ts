import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { generate } from "selfsigned";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Refusal } from "../../core/errors.ts";
import type { Config } from "./config.ts";
import { readConfig } from "./read-config.ts";
import type { SecretsOptions } from "./read-secrets.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-config-"));
});
afterEach(() => rm(folder, { recursive: true }));

const token = `dms_${"0a".repeat(16)}_${"s".repeat(43)}check1`;
const calgaryPem = await generate([{ name: "commonName", value: "calgary.example" }], { keyType: "ec" });
const community = "edition: community\nsite: calgary\ndata: ./calgary\n";
const commercial = `edition: commercial
site: calgary
data: ./calgary
replication:
  peers:
    - site: zurich
      url: https://zurich.example
      token_file: ./zurich.token
`;

async function put(name: string, text: string, mode = 0o600): Promise<void> {
  await writeFile(join(folder, name), text);
  await chmod(join(folder, name), mode);
}

async function read(text: string, options?: SecretsOptions): Promise<Config> {
  await put("site.yaml", text);
  return readConfig(join(folder, "site.yaml"), options);
}

async function refusalOf(text: string, options?: SecretsOptions): Promise<Refusal> {
  const outcome = await read(text, options).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof Refusal) return outcome;
  throw new Error("the configuration was taken", { cause: outcome });
}

/** `line 2, site: must be …` for every mistake. */
async function mistakesOf(text: string, options?: SecretsOptions): Promise<string[]> {
  const refusal = await refusalOf(text, options);
  return refusal.mistakes.map(({ path, message }) => `${path}: ${message}`);
}

describe("a file without mistakes", () => {
  test("of the community edition gets every default", async () => {
    expect(await read(community)).toEqual({
      edition: "community",
      configPath: join(folder, "site.yaml"),
      site: "calgary",
      dataFolder: join(folder, "calgary"),
      listen: { host: "127.0.0.1", port: 8200, tls: null, behindProxy: [] },
      publicUrl: "http://127.0.0.1:8200",
      alerts: { lagAfterMs: 120_000, webhookUrl: null },
      keepVersions: 20,
      auditKeepDays: 400,
      diskFreeMinBytes: 100_000_000,
      adminOverHttp: false,
    });
  });

  test("of the commercial edition carries its peers with their secrets", async () => {
    await put("zurich.token", `${token}\n`);
    const config = await read(commercial);
    expect(config.edition === "commercial" && config.replication).toEqual({
      peers: [
        {
          site: "zurich",
          url: "https://zurich.example",
          tokenFile: join(folder, "zurich.token"),
          tokens: [token],
          tls: { ca: null, fingerprint: null, cert: null, key: null },
        },
      ],
      batchRows: 100,
      requestTimeoutMs: 30_000,
      backoff: { baseMs: 1_000, factor: 5, capMs: 625_000, probeMs: 900_000, retriesMax: 5 },
    });
  });

  test("may say everything that the design shows", async () => {
    await put("zurich.token", token);
    await put("hook", "https://hooks.example/T0/secret\n");
    await put("cert.pem", calgaryPem.cert, 0o644);
    await put("key.pem", calgaryPem.private);
    const config = await read(`
edition: commercial
site: calgary
data: /var/lib/dormouse
listen: { host: "::", port: 443, tls: { cert: cert.pem, key: key.pem, client_ca: cert.pem }, behind_proxy: [10.0.0.0/8, "fd00::/8"] }
public_url: https://calgary.example/
replication:
  peers: [ { site: zurich, url: "HTTPS://Zurich.example:443/", token_file: ./zurich.token } ]
  batch_size: 50
  max_retries: 2
  request_timeout_ms: 5000
  backoff: { base_ms: 100, factor: 1.5, cap_ms: 1000, probe_ms: 2000 }
alerts: { lag_after_ms: 60000, webhook_file: hook }
disk_free_min_bytes: 0
admin_over_http: true
`);
    expect(config).toMatchObject({
      dataFolder: "/var/lib/dormouse",
      listen: {
        tls: {
          certFile: join(folder, "cert.pem"),
          keyFile: join(folder, "key.pem"),
          clientCaFile: join(folder, "cert.pem"),
        },
        behindProxy: ["10.0.0.0/8", "fd00::/8"],
      },
      publicUrl: "https://calgary.example",
      replication: {
        peers: [{ url: "https://zurich.example" }],
        batchRows: 50,
        requestTimeoutMs: 5_000,
        backoff: { baseMs: 100, factor: 1.5, capMs: 1_000, probeMs: 2_000, retriesMax: 2 },
      },
      alerts: { lagAfterMs: 60_000, webhookUrl: "https://hooks.example/T0/secret" },
      diskFreeMinBytes: 0,
      adminOverHttp: true,
    });
  });

  test("moves between the editions by one word: community ignores the replication block and its files", async () => {
    const config = await read(commercial.replace("commercial", "community"));
    expect(config).not.toHaveProperty("replication");
  });

  test.each(["127.0.0.1", "127.9.9.9", "localhost", '"[::1]"'])(
    "may reach a peer on this machine over plain http: %s",
    async (host) => {
      await put("zurich.token", token);
      const url = `"http://${host.replaceAll('"', "")}:8201"`;
      const config = await read(commercial.replace("https://zurich.example", url));
      expect(config.edition).toBe("commercial");
    },
  );

  test("may keep a secret behind a link, as container platforms do", async () => {
    await put("mounted", token);
    await symlink(join(folder, "mounted"), join(folder, "zurich.token"));
    expect((await read(commercial)).edition).toBe("commercial");
  });
});

describe("every mistake is told at once, with its line", () => {
  test("mistakes of all kinds in one file", async () => {
    await put("open.token", token, 0o644);
    const mistakes = await mistakesOf(`edition: commercial
site: Calgary
datta: ./calgary
listen:
  host: 0.0.0.0
  port: "8200"
replication:
  batchsize: 10
  max_retries: -1
  peers:
    - site: zurich
      url: http://zurich.example
      token_file: open.token
    - { site: zurich, url: https://oslo.example/path, token_file: oslo.token }
alerts:
  lag_after_ms: 2m
  email: me@example.org
disk_free_min: 5
`);
    expect(mistakes).toEqual([
      "line 1, data: is missing; it must be the path of a file or folder",
      "line 2, site: must be a site's name: 1 to 63 of a-z, 0-9 and -, beginning with a letter",
      "line 3, datta: is unknown; did you mean data?",
      expect.stringMatching(/^line 5, listen\.host: is reachable from other machines/),
      expect.stringMatching(/^line 5, public_url: is missing/),
      "line 6, listen.port: must be a whole number from 1 to 65535, without quotes",
      "line 8, replication.batchsize: is unknown; did you mean batch_size?",
      "line 9, replication.max_retries: must be a whole number from 0 to 100, without quotes",
      expect.stringMatching(/^line 12, replication\.peers\[0\]\.url: must begin with https:/),
      `line 13, replication.peers[0].token_file: names a file that others can read (mode 0644): chmod 600 ${folder}/open.token`,
      expect.stringMatching(/^line 14, replication\.peers\[1\]\.url: must be a URL of scheme/),
      expect.stringMatching(/^line 14, replication\.peers\[1\]\.site: names a site that another peer has/),
      expect.stringMatching(
        /^line 14, replication\.peers\[1\]\.token_file: names a file that does not exist/,
      ),
      expect.stringMatching(/^line 16, alerts\.lag_after_ms: must be a whole number of milliseconds/),
      expect.stringMatching(/^line 17, alerts\.email: is not supported: .* use alerts\.webhook/),
      "line 18, disk_free_min: is unknown; the keys here are edition, site, data, listen, public_url, replication, alerts, admin_over_http, keep_versions, audit, disk_free_min_bytes",
    ]);
  });

  test("what is wrong in itself is not looked at again together with other keys", async () => {
    const mistakes = await mistakesOf(`edition: commercial
site: 5
data: x
listen: { host: 5, behind_proxy: x }
public_url: [x]
replication: { peers: [5, { site: {}, url: 7, token_file: [] }], backoff: { cap_ms: x, base_ms: 700000 } }
alerts: { webhook: 5, webhook_file: [] }
`);
    expect(mistakes.map((mistake) => mistake.split(": ")[0])).toEqual([
      "line 2, site",
      "line 4, listen.host",
      "line 4, listen.behind_proxy",
      "line 5, public_url",
      "line 6, replication.peers[0]",
      "line 6, replication.peers[1].site",
      "line 6, replication.peers[1].url",
      "line 6, replication.peers[1].token_file",
      "line 6, replication.backoff.cap_ms",
      "line 6, replication.backoff.base_ms",
      "line 7, alerts.webhook",
      "line 7, alerts.webhook_file",
    ]);
  });

  test("no mistake repeats a value of the file, which may be a secret in the wrong place", async () => {
    const secret = "hunter2-hunter2";
    const texts = [
      `edition: ${secret}\nsite: ${secret}!\ndata: [${secret}]\nlisten: ${secret}\n`,
      `${community}listen: { host: "${secret}/", port: ${secret}, behind_proxy: [${secret}] }\n`,
      `${community}public_url: https://u:${secret}@calgary.example\nalerts: { webhook: "${secret}" }\n`,
      `${community}alerts: "${secret}\n`,
      `${community}alerts: ]${secret}\n`,
      `${community}alerts: *${secret}\n`,
      `${community}alerts: !${secret} x\n`,
    ];
    for (const text of texts) {
      const refusal = await refusalOf(text);
      expect(refusal.message + JSON.stringify(refusal.mistakes)).not.toContain(secret);
    }
  });
});

describe("mistakes of a value", () => {
  const cases: [string, string, RegExp][] = [
    [
      "an unknown edition",
      community.replace("community", "enterprise"),
      /^line 1, edition: must be community or commercial/,
    ],
    ["an empty section", `${community}alerts:\n`, /^line 4, alerts: is empty/],
    ["a port of 0", `${community}listen: { port: 0 }\n`, /^line 4, listen\.port: .*1 to 65535/],
    ["a fraction of a port", `${community}listen: { port: 82.5 }\n`, /^line 4, listen\.port/],
    ["a port that is not a number", `${community}listen: { port: .nan }\n`, /^line 4, listen\.port/],
    ["a host with a port in it", `${community}listen: { host: "127.0.0.1:80" }\n`, /^line 4, listen\.host/],
    [
      "a network that is none",
      `${community}listen: { behind_proxy: [10.0.0.0/33] }\n`,
      /^line 4, listen\.behind_proxy\[0\]/,
    ],
    ["no network", `${community}listen: { behind_proxy: [] }\n`, /^line 4, listen\.behind_proxy: is empty/],
    ["a public URL with a path", `${community}public_url: https://a.example/x\n`, /^line 4, public_url/],
    ["a public URL of ftp", `${community}public_url: ftp://a.example\n`, /^line 4, public_url/],
    [
      "a webhook with a password",
      `${community}alerts: { webhook: "https://u:p@a.example" }\n`,
      /^line 4, alerts\.webhook/,
    ],
    ["an endless duration", `${community}alerts: { lag_after_ms: 1e300 }\n`, /^line 4, alerts\.lag_after_ms/],
    [
      "two ways to the webhook",
      `${community}alerts:\n  webhook: https://a.example\n  webhook_file: x\n`,
      /keep one/,
    ],
    ["a role", `${community}role: backup\n`, /^line 4, role: is no key.*init --role/],
    [
      "a key in the wrong place",
      `${community}batch_size: 5\n`,
      /^line 4, batch_size: .*did you mean replication\.batch_size\?/,
    ],
    [
      "a key of a list in the wrong place",
      `${community}token_file: x\n`,
      /did you mean replication\.peers\[\]\.token_file\?/,
    ],
    ["a key of Object", `${community}constructor: x\n`, /^line 4, constructor: is unknown/],
    ["__proto__", `${community}__proto__: { site: x }\n`, /^line 4: __proto__ is no key/],
  ];
  test.each(cases)("%s is refused by name", async (_, text, expected) => {
    expect((await mistakesOf(text)).join("\n")).toMatch(expected);
  });
});

describe("mistakes between values", () => {
  const peer = (line: string): string => commercial.replace(/ {4}- site: zurich[^]*/, `    - ${line}\n`);
  beforeEach(() => put("zurich.token", token));

  test("commercial without replication says so plainly", async () => {
    expect(await mistakesOf(community.replace("community", "commercial"))).toEqual([
      "line 1, replication: is missing, and edition commercial requires it; name the peers, or use edition: community",
    ]);
  });

  test("no peers are right before the site is paired with another, but the list must be there", async () => {
    const text = `${community.replace("community", "commercial")}replication: { peers: [] }\n`;
    const config = await read(text);
    expect(config.edition === "commercial" && config.replication.peers).toEqual([]);
    expect(await mistakesOf(text.replace("peers: []", ""))).toEqual([
      expect.stringMatching(/^line 4, replication\.peers: is missing/),
    ]);
  });

  test("the site itself as a peer", async () => {
    const text = peer("{ site: calgary, url: https://zurich.example, token_file: zurich.token }");
    expect(await mistakesOf(text)).toEqual([
      "line 6, replication.peers[0].site: is this very site; a peer is another one",
    ]);
  });

  test("the site's own URL as a peer's", async () => {
    const text = `${peer("{ site: zurich, url: https://C.example/, token_file: zurich.token }")}public_url: https://c.example:443\n`;
    expect((await mistakesOf(text))[0]).toMatch(/^line 6, replication\.peers\[0\]\.url: is this site's own/);
  });

  test("two peers with the same site, URL and token file", async () => {
    const twice = "{ site: zurich, url: https://zurich.example, token_file: zurich.token }";
    const mistakes = await mistakesOf(peer(`${twice}\n    - ${twice}`));
    expect(mistakes.map((mistake) => mistake.split(":")[0])).toEqual([
      "line 7, replication.peers[1].site",
      "line 7, replication.peers[1].url",
      "line 7, replication.peers[1].token_file",
    ]);
  });

  test.each([
    "http://zurich.example",
    "http://10.0.0.2:8201",
    "http://128.0.0.1",
    "http://localhost.example",
  ])("a peer beyond this machine over plain http: %s", async (url) => {
    const mistakes = await mistakesOf(commercial.replace("https://zurich.example", url));
    expect(mistakes).toEqual([
      expect.stringMatching(/^line 7, replication\.peers\[0\]\.url: must begin with https/),
    ]);
  });

  test("a backoff whose cap is below its base", async () => {
    const mistakes = await mistakesOf(`${commercial}  backoff: { base_ms: 700000 }\n`);
    expect(mistakes).toEqual(["line 9, replication.backoff.base_ms: makes cap_ms less than base_ms"]);
  });

  test.each(["0.0.0.0", '"::"', "192.168.1.5", "calgary.example"])(
    "listening at %s without tls or a proxy in front",
    async (host) => {
      const text = `${community}public_url: https://c.example\nlisten: { host: ${host} }\n`;
      expect(await mistakesOf(text)).toEqual([
        expect.stringMatching(/^line 5, listen\.host: .*listen\.behind_proxy/),
      ]);
      expect((await read(text.replace("host:", "behind_proxy: [10.0.0.0/8], host:"))).edition).toBe(
        "community",
      );
    },
  );
});

describe("files with secrets", () => {
  test("a token file that others can read is refused as file_exposed", async () => {
    await put("zurich.token", token, 0o640);
    const refusal = await refusalOf(commercial);
    expect(refusal.code).toBe("file_exposed");
    expect(refusal.mistakes[0]?.message).toContain("mode 0640");
  });

  test("a token file may hold two tokens while the secret is being changed, and never three", async () => {
    const other = token.replace("0a0a", "0b0b");
    await put("zurich.token", `${token}\n${other}\n`);
    const config = await read(commercial);
    expect(config.edition === "commercial" && config.replication.peers[0]?.tokens).toEqual([token, other]);
    await put("zurich.token", `${token}\n${other}\n${token}\n`);
    expect(await mistakesOf(commercial)).toEqual([expect.stringMatching(/without a peer token/)]);
    await put("zurich.token", `${token}\n${other.slice(1)}\n`);
    expect(await mistakesOf(commercial)).toEqual([expect.stringMatching(/without a peer token/)]);
  });

  test("with any other mistake beside it, the refusal is config_invalid and names both", async () => {
    await put("zurich.token", token, 0o640);
    const refusal = await refusalOf(`${commercial}x: 1\n`);
    expect(refusal.code).toBe("config_invalid");
    expect(refusal.mistakes).toHaveLength(2);
  });

  test("a file that only its owner can read, and not write, is private enough", async () => {
    await put("zurich.token", token, 0o400);
    expect((await read(commercial)).edition).toBe("commercial");
  });

  test("a token file that is missing says where to get it", async () => {
    expect(await mistakesOf(commercial)).toEqual([
      expect.stringMatching(/^line 8,.*does not exist.*init.*copy/),
    ]);
  });

  test("a maker of tokens stands in for a missing token file and for no other mistake", async () => {
    const asked: string[] = [];
    const newPeerToken = (path: string): string => {
      asked.push(path);
      return token;
    };
    const config = await read(commercial, { newPeerToken });
    expect(config.edition === "commercial" && config.replication.peers[0]?.tokens).toEqual([token]);
    expect(asked).toEqual([join(folder, "zurich.token")]);
    await put("zurich.token", "x");
    expect(await mistakesOf(commercial, { newPeerToken })).toHaveLength(1);
  });

  test.each(["", "x", token.slice(1), `${token}x`, token.replace("dms_", "dmo_"), `${token}\n${token}`])(
    "a token file that holds no peer token is refused without quoting it",
    async (text) => {
      await put("zurich.token", text);
      expect(await mistakesOf(commercial)).toEqual([
        "line 8, replication.peers[0].token_file: names a file without a peer token: one line of 86 characters that begins with dms_",
      ]);
    },
  );

  test("a token whose checksum does not fit is refused", async () => {
    await put("zurich.token", token);
    expect(await mistakesOf(commercial, { isPeerToken: () => false })).toEqual([
      expect.stringMatching(/^line 8,.*mistyped/),
    ]);
  });

  test("a folder in place of a token file is refused", async () => {
    expect(await mistakesOf(commercial.replace("./zurich.token", "."))).toEqual([
      expect.stringMatching(/^line 8,.*is not a file/),
    ]);
  });

  test("a pipe in place of a token file is refused, and nobody waits for its writer", async () => {
    await promisify(execFile)("mkfifo", ["-m", "600", join(folder, "zurich.token")]);
    expect(await mistakesOf(commercial)).toEqual([expect.stringMatching(/^line 8,.*is not a file/)]);
  });

  test("a webhook file is held to the same rules", async () => {
    const text = `${community}alerts: { webhook_file: hook }\n`;
    await put("hook", "https://hooks.example/secret", 0o644);
    expect((await refusalOf(text)).code).toBe("file_exposed");
    await put("hook", "hooks.example/secret");
    const refusal = await refusalOf(text);
    expect(refusal.mistakes[0]?.message).toMatch(/no http or https URL/);
    expect(refusal.mistakes[0]?.message).not.toContain("secret");
  });

  test("a TLS key that others can read is refused", async () => {
    await put("key.pem", calgaryPem.private, 0o644);
    const refusal = await refusalOf(`${community}listen: { tls: { cert: cert.pem, key: key.pem } }\n`);
    expect(refusal.mistakes.map(({ path }) => path)).toEqual([
      "line 4, listen.tls.cert",
      "line 4, listen.tls.key",
    ]);
  });
});

describe("what is not one plain YAML document", () => {
  const cases: [string, string, RegExp][] = [
    ["an empty file", "", /^line 1: the file must be a group of keys/],
    ["a file of comments", "# nothing\n", /^line 1: the file must be/],
    ["a list", "- a\n", /^line 1: the file must be/],
    ["a key given twice", `${community}site: zurich\n`, /^line 4: the key is here twice/],
    ["a tab", `${community}listen:\n\tport: 1\n`, /^line 5: a tab indents this line/],
    ["two documents", `${community}---\n${community}`, /^line 4: a second document/],
    ["an alias", `${community}alerts: &a { lag_after_ms: 1000 }\nlisten: *a\n`, /^line 5: aliases/],
    ["an unknown tag", `${community}alerts: !secret x\n`, /^line 4: a tag is unknown/],
    ["an open quote", `${community}public_url: "https://x\n`, /^line \d: a character is missing/],
    ["a key that is a list", `${community}? [a]\n: b\n`, /^line 4: a key must be a plain text/],
  ];
  test.each(cases)("%s is refused with its line", async (_, text, expected) => {
    expect((await mistakesOf(text)).join("\n")).toMatch(expected);
  });

  test("one slip draws one mistake for its line, not all that the parser has to say of it", async () => {
    expect(await mistakesOf(`${community}alerts: &x &y *z\n`)).toEqual([
      "line 4: two anchors stand on one value; leave them away",
    ]);
  });

  test("a bomb of aliases is refused at once", async () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 12; i += 1) lines.push(`a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`);
    expect((await mistakesOf(lines.join("\n")))[0]).toMatch(/aliases/);
  });

  test("a file nested beyond reason is refused", async () => {
    expect(await mistakesOf(`site: ${"[".repeat(50_000)}`)).not.toHaveLength(0);
  });

  test("what is not UTF-8, far too large, a folder or missing is refused", async () => {
    await writeFile(join(folder, "latin1.yaml"), Uint8Array.of(0x73, 0xe9));
    await writeFile(join(folder, "large.yaml"), "#".repeat(1024 * 1024 + 1));
    const refusals = {
      "latin1.yaml": /not UTF-8/,
      "large.yaml": /too large/,
      "none.yaml": /does not exist/,
      ".": /EISDIR/,
    };
    for (const [name, message] of Object.entries(refusals)) {
      await expect(readConfig(join(folder, name))).rejects.toThrow(message);
    }
  });
});
