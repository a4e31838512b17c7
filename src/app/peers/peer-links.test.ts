import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SiteName } from "../../core/ids.ts";
import { peerCredential } from "../../crypto/peer-credential.ts";
import { formatToken, newToken, type Token } from "../../crypto/token.ts";
import { httpTransport } from "../../editions/commercial.ts";
import type { PeerConfig } from "../../ops/config/config.ts";
import { systemClock, systemRandom } from "../system-ports.ts";
import { PeerLinks } from "./peer-links.ts";

const calgary = "calgary" as SiteName;
const zurich = "zurich" as SiteName;
const oslo = "oslo" as SiteName;
const noTls = { ca: null, fingerprint: null, cert: null, key: null };
const [old, next] = [newToken("peer", systemRandom), newToken("peer", systemRandom)];

let folder: string;
let server: Server;
let url: string;
/** The bearers that the peer was sent, and which one it takes now. */
let sent: string[];
let taken: Token;
let onRequest: () => Promise<void>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-links-"));
  sent = [];
  taken = old;
  onRequest = async () => undefined;
  server = createServer((request, response) => {
    const bearer = request.headers.authorization?.replace("Bearer ", "") ?? "";
    sent.push(bearer);
    request.resume().on("end", () => {
      void onRequest().then(() => {
        response.writeHead(bearer === peerCredential(taken, calgary, zurich) ? 200 : 401).end("{}");
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

function peer(site: SiteName, tokens: readonly Token[], changes: Partial<PeerConfig> = {}): PeerConfig {
  const tokenFile = join(folder, `${site}.token`);
  return { site, url, tokenFile, tokens: tokens.map(formatToken), tls: noTls, ...changes };
}

function linksTo(...peers: readonly PeerConfig[]): PeerLinks {
  const open = (way: Parameters<ConstructorParameters<typeof PeerLinks>[1]>[0]) =>
    httpTransport({ ...way, timeoutMs: 5_000, clock: systemClock });
  return new PeerLinks(calgary, open, peers);
}

async function post(links: PeerLinks): Promise<number | undefined> {
  const reply = await links.exchangeWith(zurich)?.post("/x", "{}", new AbortController().signal);
  return reply?.reply.status;
}

const sentBy = (token: Token) => peerCredential(token, calgary, zurich);

describe("while a pair's secret is changed", () => {
  it("what is not taken under the first is sent under the second, and nothing else is sent twice", async () => {
    await using links = linksTo(peer(zurich, [next, old]));
    expect(await post(links)).toBe(200);
    expect(sent).toEqual([sentBy(next), sentBy(old)]);
    taken = next;
    expect(await post(links)).toBe(200);
    expect(sent.slice(2)).toEqual([sentBy(next)]);
  });

  it("a message that was under way when the old one ended is sent again under the new", async () => {
    await using links = linksTo(peer(zurich, [old]));
    taken = next;
    onRequest = async () => {
      if (sent.length === 1) await links.setTokens(zurich, [next]);
    };
    expect(await post(links)).toBe(200);
    expect(sent).toEqual([sentBy(old), sentBy(next)]);
    expect(await readFile(join(folder, "zurich.token"), "utf8")).toBe(`${formatToken(next)}\n`);
  });

  it("with one secret, what is not taken is not sent again", async () => {
    await using links = linksTo(peer(zurich, [next]));
    expect(await post(links)).toBe(401);
    expect(sent).toHaveLength(1);
  });

  it("the peer may send with either, and nobody else with any", async () => {
    await using links = linksTo(peer(zurich, [next, old]));
    for (const token of [next, old]) {
      expect(links.peerOf(peerCredential(token, zurich, calgary))).toBe(zurich);
      expect(links.peerOf(peerCredential(token, calgary, zurich))).toBeUndefined();
    }
    await links.setTokens(zurich, [next]);
    expect(links.peerOf(peerCredential(old, zurich, calgary))).toBeUndefined();
    expect(links.peerOf("")).toBeUndefined();
  });
});

describe("a configuration that was read again", () => {
  it("keeps the way to a peer that is reached as before, and says what changed", async () => {
    await using links = linksTo(peer(zurich, [old]));
    const [before] = links.current;
    const added = links.take([peer(zurich, [next]), peer(oslo, [old], { url: "http://127.0.0.1:1" })]);
    expect(added.changes).toEqual(["oslo added"]);
    expect(links.current[0]).toBe(before);
    expect(links.tokensOf(zurich)?.map(formatToken)).toEqual([formatToken(next)]);
    const moved = links.take([peer(zurich, [next], { url: "http://127.0.0.1:2" })]);
    expect(moved.changes).toEqual(["zurich changed", "oslo removed"]);
    expect(links.current).toHaveLength(1);
    expect(links.current[0]).not.toBe(before);
    await Promise.all([added.close(), moved.close()]);
  });
});
