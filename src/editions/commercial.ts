import type { z } from "zod";
import type { BackoffPolicy } from "../core/backoff.ts";
import type {
  AdminCommand,
  Alerts,
  Edition,
  EditionReply,
  EditionRoute,
  WriteRefusal,
} from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { SiteName } from "../core/ids.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { BatchLimit } from "../core/store/replication.ts";
import type { Store } from "../core/store/store.ts";
import type { WritesInFlight } from "../core/writes-in-flight.ts";
import { signalRequest } from "../protocol/replication-status.ts";
import { AuditWatch } from "../replication/audit-watch.ts";
import { receiveAside } from "../replication/backup/aside.ts";
import { receiveLocate } from "../replication/backup/locate.ts";
import { receivePush } from "../replication/backup/apply.ts";
import { receiveRepair } from "../replication/backup/repair.ts";
import { receiveHello } from "../replication/hello.ts";
import { type HttpExchange, httpExchange, type HttpExchangeOptions } from "../replication/http-exchange.ts";
import type { PeerLink } from "../replication/peer-link.ts";
import { Workers } from "../replication/primary/workers.ts";
import { adminCommands } from "../replication/roles/admin-commands.ts";
import { receiveGrant } from "../replication/roles/grants.ts";
import { RoleKeeper } from "../replication/roles/role-keeper.ts";
import { News, type RolePorts } from "../replication/roles/role-ports.ts";
import { describeReplication } from "../replication/status.ts";
import {
  applyPath,
  asidePath,
  grantPath,
  helloPath,
  locatePath,
  makeTransport,
  repairPath,
} from "../replication/transport.ts";

export type CommercialPeer = PeerLink;

export type CommercialOptions = {
  readonly store: Store;
  readonly writesInFlight: WritesInFlight;
  readonly publicUrl: string;
  /** The peers to begin with. */
  readonly peers: readonly CommercialPeer[];
  /** The peer whose bearer token a text is; must compare in constant time. */
  readonly peerOf: (token: string) => SiteName | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly limit: BatchLimit;
  readonly backoff: BackoffPolicy;
  readonly lagAfterMs: number;
  readonly alerts: Alerts;
  /** Reads every page of the database, and says what is wrong with it; null where nothing is. Left away without a file. */
  readonly checkDatabase?: () => Promise<string | null>;
  /** A fault of this site that no caller hears of: for the log. */
  readonly onFault: (error: unknown) => void;
};

/** The way to a peer over HTTP; its owner closes it once the edition has stopped. */
export function httpTransport(options: HttpExchangeOptions): {
  readonly transport: PeerLink["transport"];
  /** For what sites say to each other beside replication. */
  readonly exchange: Pick<HttpExchange, "post">;
  readonly close: () => Promise<void>;
} {
  const exchange = httpExchange(options);
  return { transport: makeTransport(exchange), exchange, close: () => exchange.close() };
}

/** Larger than any batch: 1 MiB of rows in base64 with their keys, hashes, positions and the points between. */
const pushBytesMax = 8 * 1024 * 1024;
/** Thousands of points, keys or ids. */
const listBytesMax = 2 * 1024 * 1024;
const frameBytesMax = 64 * 1024;

type Receive = (peer: SiteName, body: unknown) => Promise<EditionReply>;

/** Everything that the community edition does not do: workers on a primary, applying on a backup, and what both tell. */
export class CommercialEdition implements Edition {
  readonly name = "commercial";
  readonly routes: readonly EditionRoute[];
  readonly adminCommands: readonly AdminCommand[];
  readonly #options: CommercialOptions;
  readonly #workers: Workers;
  readonly #keeper: RoleKeeper;
  readonly #applied = new News();
  readonly #auditWatch: AuditWatch;
  #peers: readonly PeerLink[];

  constructor(options: CommercialOptions) {
    this.#options = options;
    this.#peers = options.peers;
    this.#auditWatch = new AuditWatch(options);
    this.#workers = new Workers({
      ...options,
      auditWatch: this.#auditWatch,
      onDoubt: () => void this.#keeper.look(),
    });
    const peers = () => this.#peers;
    this.#keeper = new RoleKeeper({ ...options, workers: this.#workers, peers });
    this.routes = [...this.#peerRoutes(), ...this.#operatorRoutes()];
    this.adminCommands = adminCommands({
      ...this.#rolePorts(),
      checkDatabase: options.checkDatabase ?? (async () => null),
      describe: () => this.#describe(),
    });
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
    const { role, fenced, primary } = await this.#options.store.read((r) => r.site.record());
    if (role === "backup") return { code: "read_only_backup", primaryUrl: primary?.url ?? null };
    return fenced === null ? undefined : { code: "site_fenced", primaryUrl: null };
  }

  async start(): Promise<void> {
    await this.#options.store.transact((tx) =>
      tx.replication.configurePeers(this.#peers.map((peer) => peer.site)),
    );
    await this.#keeper.look();
  }

  /**
   * From now on the peers are these, whatever they were. A new one is filled, the rows of one that is gone no longer count as
   * dirty, and one with another transport is reached by that from its next push on. The caller closes transports that are gone.
   */
  async setPeers(peers: readonly CommercialPeer[]): Promise<void> {
    await this.#options.store.transact((tx) => tx.replication.configurePeers(peers.map((peer) => peer.site)));
    this.#peers = peers;
    this.#workers.setPeers(peers);
    await this.#keeper.look();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#workers.stop(), this.#keeper.stop()]);
  }

  #rolePorts(): RolePorts {
    const { store, alerts, publicUrl, clock, random, backoff, onFault } = this.#options;
    const ports = { store, alerts, publicUrl, clock, random, backoff, onFault };
    return {
      ...ports,
      peers: () => this.#peers,
      workers: this.#workers,
      keeper: this.#keeper,
      applied: this.#applied,
    };
  }

  #peerRoutes(): readonly EditionRoute[] {
    const { store } = this.#options;
    const route = (path: string, bodyBytesMax: number, receive: Receive): EditionRoute => ({
      method: "POST",
      path,
      caller: "peer",
      bodyBytesMax,
      handle: ({ peer, body }) => this.#receive(receive, named(peer), body),
    });
    return [
      route(applyPath, pushBytesMax, (peer, body) => this.#receivePush(peer, body)),
      route(helloPath, frameBytesMax, (peer, body) =>
        receiveHello(store, peer, body, () => this.#workers.greet(peer)),
      ),
      route(locatePath, listBytesMax, (peer, body) => receiveLocate(store, peer, body)),
      route(grantPath, frameBytesMax, (peer, body) => receiveGrant(this.#rolePorts(), peer, body)),
      route(repairPath, pushBytesMax, (peer, body) => receiveRepair(store, peer, body)),
      route(asidePath, listBytesMax, (peer, body) => receiveAside(store, peer, body)),
    ];
  }

  /** Any message may have brought a higher epoch, or an answer that changes the role: what runs is looked at. */
  async #receive(receive: Receive, peer: SiteName, body: unknown): Promise<EditionReply> {
    try {
      const reply = await receive(peer, body);
      if (reply.status !== 200 || this.#keeper.duty !== "follow") void this.#keeper.look();
      return reply;
    } catch (error) {
      void this.#keeper.look();
      throw error;
    }
  }

  async #receivePush(peer: SiteName, body: unknown): Promise<EditionReply> {
    const onYield = () => this.#keeper.doubt();
    // The answer need not wait for what is to be told.
    const onAudit = () => void this.#auditWatch.look();
    const reply = await receivePush(this.#options.store, peer, body, { onYield, onAudit });
    if (reply.status === 200) this.#applied.tell();
    return reply;
  }

  #operatorRoutes(): readonly EditionRoute[] {
    const shape = { caller: "operator", bodyBytesMax: frameBytesMax } as const;
    return [
      {
        ...shape,
        method: "GET",
        path: "/api/replication",
        handle: async () => ({ status: 200, body: await this.#describe() }),
      },
      {
        ...shape,
        method: "POST",
        path: "/api/replication/signal",
        handle: async ({ body }) => {
          this.#workers.contact({ retryQuarantined: readSignal(body).retry_quarantined });
          return { status: 202, body: { signalled: this.#peers.map((peer) => peer.site) } };
        },
      },
    ];
  }

  #describe(): Promise<object> {
    const { store, clock } = this.#options;
    return describeReplication({
      store,
      clock,
      peers: this.#peers,
      workerOf: (peer) => this.#workers.get(peer)?.status(),
    });
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
