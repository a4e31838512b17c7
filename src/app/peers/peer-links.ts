import { timingSafeEqual } from "node:crypto";
import { utf8 } from "../../core/bytes.ts";
import type { SiteName } from "../../core/ids.ts";
import type { PeerTls } from "../../core/peer-tls.ts";
import type { Transport } from "../../core/ports.ts";
import { peerCredential } from "../../crypto/peer-credential.ts";
import { formatToken, parseToken, type Token } from "../../crypto/token.ts";
import type { PeerConfig } from "../../ops/config/config.ts";
import { writeSecretFile } from "../../ops/config/replace-file.ts";
import { systemHash } from "../system-ports.ts";

/** A way to one site, and what goes over it beside replication. */
export type PeerWay = {
  readonly transport: Transport;
  readonly exchange: PeerExchange;
  readonly close: () => Promise<void>;
};

export type PeerExchange = {
  post(
    path: string,
    json: string,
    signal: AbortSignal,
  ): Promise<{ readonly reply: { readonly status: number; readonly body: unknown } }>;
};

export type OpenWay = (options: {
  readonly url: string;
  readonly tls: PeerTls;
  /** What to send, best first: the next is tried where one is not taken. */
  readonly credential: () => readonly string[];
}) => PeerWay;

/** One peer while its configuration stays: replication holds on to this very object. */
type Link = {
  readonly site: SiteName;
  readonly url: string;
  readonly transport: Transport;
  readonly way: PeerWay;
  config: PeerConfig;
  /** The pair's secret; two while it is being changed, the one to send with first. */
  tokens: readonly Token[];
  /** What this site sends, in the order of the tokens. */
  credentials: readonly string[];
  /** Of what the peer may send. */
  digests: readonly Uint8Array[];
};

/** The peers of a running site, their secrets and the ways to them: what the configuration says, as it is now. */
export class PeerLinks implements AsyncDisposable {
  readonly #site: SiteName;
  readonly #open: OpenWay;
  #links: readonly Link[] = [];
  readonly #joining = new Set<SiteName>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(site: SiteName, open: OpenWay, peers: readonly PeerConfig[]) {
    this.#site = site;
    this.#open = open;
    this.#links = peers.map((peer) => this.#linkTo(peer));
  }

  /** An unchanged peer is the same object each time. */
  get current(): readonly { readonly site: SiteName; readonly url: string; readonly transport: Transport }[] {
    return this.#links;
  }

  /**
   * Finds the peer that a bearer token was derived for. Digests are compared, in constant time and with every peer's, so that
   * the time it takes tells nothing of the token.
   */
  peerOf(text: string): SiteName | undefined {
    const digest = systemHash.sha256(utf8(text));
    const found = this.#links.filter(
      ({ digests }) => digests.filter((expected) => timingSafeEqual(expected, digest)).length > 0,
    );
    const site = found[0]?.site;
    if (site !== undefined) this.#joining.delete(site);
    return site;
  }

  /**
   * This site has a secret with another that may not have written it down yet. Until it is heard of, its not taking the secret
   * is no more than a failed attempt: the operator who is pairing the two need not be told.
   */
  expectJoining(site: SiteName): void {
    this.#joining.add(site);
  }

  exchangeWith(site: SiteName): PeerExchange | undefined {
    return this.#find(site)?.way.exchange;
  }

  tokensOf(site: SiteName): readonly Token[] | undefined {
    return this.#find(site)?.tokens;
  }

  /** What changes peers or their secrets happens one after the other. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Makes these the pair's tokens, in the file first: a crash leaves what a peer may know already. Called in turn. */
  async setTokens(site: SiteName, tokens: readonly Token[]): Promise<void> {
    const link = this.#find(site);
    if (link === undefined) return;
    await writeSecretFile(link.config.tokenFile, tokens.map((token) => `${formatToken(token)}\n`).join(""));
    this.#keep(link, tokens);
  }

  /**
   * Takes the peers of a configuration that was read again. A peer that is reached as before keeps its object and its
   * connections. Called in turn.
   * @returns what changed, in words; and closes the ways to peers that are gone, once nobody uses them
   */
  take(peers: readonly PeerConfig[]): {
    readonly changes: readonly string[];
    readonly close: () => Promise<void>;
  } {
    const before = this.#links;
    this.#links = peers.map((peer) => {
      const known = before.find((link) => link.site === peer.site && isReachedAlike(link.config, peer));
      if (known === undefined) return this.#linkTo(peer);
      known.config = peer;
      this.#keep(known, tokensIn(peer));
      return known;
    });
    const kept = new Set(this.#links);
    const gone = before.filter((link) => !kept.has(link));
    return {
      changes: describeChanges(before, this.#links),
      close: async () => void (await Promise.all(gone.map(({ way }) => way.close()))),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#links.map(({ way }) => way.close()));
  }

  #find(site: SiteName): Link | undefined {
    return this.#links.find((link) => link.site === site);
  }

  #linkTo(config: PeerConfig): Link {
    const { site, url, tls } = config;
    const credential = (): readonly string[] => link.credentials;
    const way = this.#open({ url, tls, credential });
    const transport = this.#patient(site, way.transport);
    const link: Link = { site, url, transport, way, config, tokens: [], credentials: [], digests: [] };
    this.#keep(link, tokensIn(config));
    return link;
  }

  #patient(site: SiteName, transport: Transport): Transport {
    return {
      ...transport,
      push: async (push, signal, onLeaving) => {
        const sent = await transport.push(push, signal, onLeaving);
        if (sent.answer.kind === "failed" || !this.#joining.has(site)) return sent;
        if (sent.answer.kind !== "unauthorized") this.#joining.delete(site);
        else return { ...sent, answer: { kind: "failed", error: "it has not finished joining" } };
        return sent;
      },
    };
  }

  #keep(link: Link, tokens: readonly Token[]): void {
    link.tokens = tokens;
    link.credentials = tokens.map((token) => peerCredential(token, this.#site, link.site));
    link.digests = tokens.map((token) =>
      systemHash.sha256(utf8(peerCredential(token, link.site, this.#site))),
    );
  }
}

/** @throws where a text is none; it was checked when the configuration was read */
function tokensIn(peer: PeerConfig): readonly Token[] {
  return peer.tokens.map((text) => {
    const token = parseToken(text);
    if (token?.kind !== "peer")
      throw new Error("a pair's secret passed the configuration's check and is none");
    return token;
  });
}

function isReachedAlike(a: PeerConfig, b: PeerConfig): boolean {
  const { ca, fingerprint, cert, key } = a.tls;
  const isSameTls =
    ca === b.tls.ca && fingerprint === b.tls.fingerprint && cert === b.tls.cert && key === b.tls.key;
  return a.url === b.url && isSameTls;
}

function describeChanges(before: readonly Link[], after: readonly Link[]): readonly string[] {
  const had = new Map(before.map((link) => [link.site, link]));
  const has = new Set(after.map(({ site }) => site));
  return [
    ...after.filter(({ site }) => !had.has(site)).map(({ site }) => `${site} added`),
    ...after
      .filter((link) => had.has(link.site) && had.get(link.site) !== link)
      .map(({ site }) => `${site} changed`),
    ...before.filter(({ site }) => !has.has(site)).map(({ site }) => `${site} removed`),
  ];
}
