import type { z } from "zod";
import type { BackoffPolicy } from "../core/backoff.ts";
import type { AdminCommand, Alerts, Edition, EditionRoute, WriteRefusal } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { SiteName } from "../core/ids.ts";
import type { Clock, Random, Transport } from "../core/ports.ts";
import type { BatchLimit, Store } from "../core/store.ts";
import { signalRequest } from "../protocol/replication-status.ts";
import { receivePush } from "../replication/backup/apply.ts";
import { receiveHello, sayHello } from "../replication/hello.ts";
import { Workers } from "../replication/primary/workers.ts";
import { describeReplication } from "../replication/status.ts";
import { httpExchange, type HttpExchangeOptions } from "../replication/http-exchange.ts";
import { applyPath, helloPath, makeTransport } from "../replication/transport.ts";

export type CommercialPeer = {
  readonly site: SiteName;
  readonly url: string;
  readonly transport: Transport;
};

export type CommercialOptions = {
  readonly store: Store;
  readonly publicUrl: string;
  readonly peers: readonly CommercialPeer[];
  /** The peer whose bearer token a text is; must compare in constant time. */
  readonly peerOf: (token: string) => SiteName | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly limit: BatchLimit;
  readonly backoff: BackoffPolicy;
  readonly lagAfterMs: number;
  readonly alerts: Alerts;
  /** A fault of this site that no caller hears of: for the log. */
  readonly onFault: (error: unknown) => void;
};

/** The way to a peer over HTTP; its owner closes it once the edition has stopped. */
export function httpTransport(options: HttpExchangeOptions): {
  readonly transport: Transport;
  readonly close: () => Promise<void>;
} {
  const exchange = httpExchange(options);
  return { transport: makeTransport(exchange), close: () => exchange.close() };
}

/** Larger than any batch: 1 MiB of rows in base64 with their keys, hashes and positions. */
const pushBytesMax = 8 * 1024 * 1024;
const frameBytesMax = 64 * 1024;

/** Everything that the community edition does not do: workers on a primary, applying on a backup, and what both tell. */
export class CommercialEdition implements Edition {
  readonly name = "commercial";
  readonly routes: readonly EditionRoute[];
  readonly adminCommands: readonly AdminCommand[] = [];
  readonly #options: CommercialOptions;
  readonly #workers: Workers;
  readonly #stop = new AbortController();
  #hellos: readonly Promise<void>[] = [];

  constructor(options: CommercialOptions) {
    this.#options = options;
    this.#workers = new Workers(options);
    this.routes = this.#makeRoutes();
  }

  readonly waitReplicated: Edition["waitReplicated"] = (position, ms) =>
    this.#workers.waitReplicated(position, ms);

  signalReplication(): void {
    this.#workers.signal();
  }

  alertOperator(...[event, message, details]: Parameters<Edition["alertOperator"]>): void {
    const subject = typeof details["backup"] === "string" ? details["backup"] : "";
    this.#options.alerts.raise(event, subject, message, details).catch(this.#options.onFault);
  }

  peerOf(token: string): SiteName | undefined {
    return this.#options.peerOf(token);
  }

  async writeGuard(): Promise<WriteRefusal | undefined> {
    const { role, fenced, primary } = await this.#options.store.site();
    if (role === "backup") return { code: "read_only_backup", primaryUrl: primary?.url ?? null };
    return fenced === null ? undefined : { code: "site_fenced", primaryUrl: null };
  }

  async start(): Promise<void> {
    const { store, peers } = this.#options;
    await store.configurePeers(peers.map((peer) => peer.site));
    const { role } = await store.site();
    if (role === "primary") await this.#workers.start();
    else this.#hellos = peers.map((peer) => this.#sayHello(peer));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#workers.stop(), ...this.#hellos]);
  }

  #sayHello({ site: peer, transport }: CommercialPeer): Promise<void> {
    return sayHello({ ...this.#options, peer, transport, abort: this.#stop.signal });
  }

  #makeRoutes(): readonly EditionRoute[] {
    return [
      {
        method: "POST",
        path: applyPath,
        caller: "peer",
        bodyBytesMax: pushBytesMax,
        handle: async ({ peer, body }) => {
          const reply = await receivePush(this.#options.store, named(peer), body);
          if (reply.status !== 200) await this.#stopWhereFenced();
          return reply;
        },
      },
      {
        method: "POST",
        path: helloPath,
        caller: "peer",
        bodyBytesMax: frameBytesMax,
        handle: async ({ peer, body }) => {
          const from = named(peer);
          const reply = await receiveHello(this.#options.store, from, body, () => this.#workers.hello(from));
          await this.#stopWhereFenced();
          return reply;
        },
      },
      {
        method: "GET",
        path: "/api/replication",
        caller: "operator",
        bodyBytesMax: frameBytesMax,
        handle: async () => ({ status: 200, body: await this.#describe() }),
      },
      {
        method: "POST",
        path: "/api/replication/signal",
        caller: "operator",
        bodyBytesMax: frameBytesMax,
        handle: async ({ body }) => {
          this.#workers.contact({ retryQuarantined: readSignal(body).retry_quarantined });
          return { status: 202, body: { signalled: this.#options.peers.map((peer) => peer.site) } };
        },
      },
    ];
  }

  #describe(): Promise<object> {
    const { store, clock, peers } = this.#options;
    return describeReplication({
      store,
      clock,
      peers,
      workerOf: (peer) => this.#workers.get(peer)?.status(),
    });
  }

  /** A message with a higher epoch has fenced this primary in the store: its workers end now. */
  async #stopWhereFenced(): Promise<void> {
    const { fenced } = await this.#options.store.site();
    if (fenced !== null) await this.#workers.fence();
  }
}

function readSignal(body: unknown): z.output<typeof signalRequest> {
  const request = signalRequest.safeParse(body ?? {});
  if (request.success) return request.data;
  const mistakes = request.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  throw new Refusal("invalid_request", "The signal cannot be read.", mistakes);
}

function named(peer: SiteName | null): SiteName {
  if (peer === null) throw new Refusal("unauthorized");
  return peer;
}
