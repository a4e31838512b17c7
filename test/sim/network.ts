import { Refusal } from "../../src/core/errors.ts";
import type { Epoch } from "../../src/core/epoch.ts";
import type { SiteName } from "../../src/core/ids.ts";
import type { Random } from "../../src/core/ports.ts";
import { applyPath, type Exchange, type Reply } from "../../src/replication/transport.ts";
import { wholeText } from "../support/json-text.ts";
import type { Scheduler } from "./scheduler.ts";

type Request = {
  readonly from: SiteName;
  readonly to: SiteName;
  readonly path: string;
  readonly json: string;
};
/** A request that has left, with how often its sender's disk had been put back by then. */
type Sent = Request & { readonly era: number };

/** Answers a request at the receiving site; rejects where nobody listens. */
export type Receive = (to: SiteName, path: string, from: SiteName, body: unknown) => Promise<Reply>;

/** How likely each fault is for one request, from 0 to 1. */
export type Faults = {
  readonly dropRequest: number;
  readonly dropAnswer: number;
  /** The request arrives once more, up to `lateMsMax` later, and its answer goes nowhere. */
  readonly repeat: number;
  readonly garbage: number;
  /** One row of the push arrives with another hash. */
  readonly flipRow: number;
  readonly delayMsMax: number;
  readonly lateMsMax: number;
};

const noFaults: Faults = {
  dropRequest: 0,
  dropAnswer: 0,
  repeat: 0,
  garbage: 0,
  flipRow: 0,
  delayMsMax: 5,
  lateMsMax: 0,
};

const timeoutMs = 30_000;

/** Links between sites: each request is delayed, lost, repeated, cut or garbled as the seed and the test say. */
export class Network {
  faults: Faults = noFaults;
  /** Rows that a push may carry before the receiver, or something before it, answers 413. */
  rowsMax: number = Number.POSITIVE_INFINITY;
  /** How many rows arrived so that their receiver refused them. */
  flippedRows = 0;
  /** Vaults whose own row was among them. */
  readonly flippedVaults = new Set<string>();
  /** Keys whose rows always arrive with another hash: what a backup will not take. */
  readonly poisoned = new Set<string>();
  /** Every request that left, in order: the sender, the path and what was sent. */
  readonly sent: {
    readonly from: SiteName;
    readonly to: SiteName;
    readonly path: string;
    readonly json: string;
  }[] = [];
  /** A test's own answer in place of the receiver's; undefined lets the request go on. */
  intercept: ((path: string, json: string, to: SiteName) => Reply | undefined) | null = null;
  /** Told of everything that happens to a request. */
  note: (text: string) => void = () => undefined;
  /** How often a site's disk was put back so far. */
  eraOf: (site: SiteName) => number = () => 0;
  /** Told of a site that took a push which had left before its sender's disk was put back. */
  onStaleApply: (to: SiteName) => void = () => undefined;
  /** Told of every push that leaves: its sender acts as the primary of that epoch. */
  onPush: (from: SiteName, epoch: Epoch) => void = () => undefined;
  /** Sites whose program speaks one protocol more: an older one refuses their pushes, and reads past what it does not know. */
  readonly newer = new Set<SiteName>();
  readonly #cut = new Set<string>();
  /** Links whose credentials do not fit just now. */
  readonly #denied = new Set<string>();
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #receive: Receive;

  constructor(random: Random, scheduler: Scheduler, receive: Receive) {
    this.#random = random;
    this.#scheduler = scheduler;
    this.#receive = receive;
  }

  cut(a: SiteName, b: SiteName): void {
    this.#cut.add(linkName(a, b));
  }

  deny(a: SiteName, b: SiteName): void {
    this.#denied.add(linkName(a, b));
  }

  healAll(): void {
    this.#cut.clear();
    this.#denied.clear();
    this.newer.clear();
    this.faults = noFaults;
    this.rowsMax = Number.POSITIVE_INFINITY;
    this.poisoned.clear();
    this.intercept = null;
  }

  heal(a: SiteName, b: SiteName): void {
    this.#cut.delete(linkName(a, b));
    this.#denied.delete(linkName(a, b));
  }

  /** The way from one process to a site. A process that has ended hears nothing more. */
  exchange(from: SiteName, to: SiteName, isAlive: () => boolean): Exchange {
    return {
      post: (path, json, signal, onLeaving) =>
        new Promise((resolve, reject) => {
          const fail = (code: string) => {
            if (isAlive()) reject(Object.assign(new Error(code), { code }));
          };
          const cancelTimeout = this.#scheduler.schedule(timeoutMs, () => fail("ETIMEDOUT"));
          const onAbort = () => {
            cancelTimeout();
            fail("ABORTED");
          };
          signal.addEventListener("abort", onAbort);
          const end = () => {
            cancelTimeout();
            signal.removeEventListener("abort", onAbort);
          };
          const text = wholeText(json);
          onLeaving?.();
          this.#carry({ from, to, path, json: text }).then(
            (reply) => {
              end();
              if (isAlive()) resolve({ reply, bytes: text.length });
            },
            (error: unknown) => {
              end();
              fail(error instanceof Error ? error.message : "ECONNRESET");
            },
          );
        }),
    };
  }

  /** Resolves with the answer, rejects where the connection is refused, and never settles where something is lost. */
  async #carry(request: Request): Promise<Reply> {
    const { faults } = this;
    const sent = { ...request, era: this.eraOf(request.from) };
    this.sent.push(sent);
    const name = `#${this.sent.length} ${request.from} to ${request.to}`;
    const body = JSON.parse(request.json) as Frame;
    this.note(`${name} ${summary(request.path, body)}`);
    if (request.path === applyPath && body.epoch) this.onPush(request.from, body.epoch);
    const own = this.intercept?.(request.path, request.json, request.to);
    if (own) return own;
    await this.#delay(faults.delayMsMax);
    if (this.#isCut(request)) throw new Error("ECONNREFUSED");
    if (this.#draws(faults.dropRequest)) return never();
    this.note(`${name} arrives`);
    if (this.#denied.has(linkName(request.from, request.to))) return { status: 401, body: undefined };
    if (this.#draws(faults.repeat)) this.#repeatLater(sent);
    if (this.#draws(faults.garbage)) return this.#garbage();
    const reply = await this.#deliver(sent);
    await this.#delay(faults.delayMsMax);
    this.note(`${name} answered ${reply.status} ${summaryOfReply(reply)}`);
    if (this.#draws(faults.dropAnswer) || this.#isCut(request)) return never();
    return reply;
  }

  async #deliver({ from, to, path, json, era }: Sent): Promise<Reply> {
    const body = JSON.parse(json) as Frame;
    const rows = path === applyPath || body.step === "apply" ? (body.rows ?? []) : [];
    if (rows.length > this.rowsMax) return { status: 413, body: undefined };
    for (const row of rows) {
      if (!this.#isFlipped(row)) continue;
      row.hash = "0".repeat(64);
      this.flippedRows += 1;
      if (row.kind === "vault") this.flippedVaults.add(row.key["vault_id"] ?? "");
    }
    if (this.newer.has(from)) speakNewer(body, this.newer.has(to));
    try {
      const reply = await this.#receive(to, path, from, body);
      if (this.newer.has(to)) Object.assign(reply.body ?? {}, unknownFields);
      if (path === applyPath && reply.status === 200 && era !== this.eraOf(from)) this.onStaleApply(to);
      return reply;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { status: 500, body: { code: error.code } };
    }
  }

  #isFlipped(row: { kind: string; key: Record<string, string> }): boolean {
    const id = row.key["entry_id"] ?? row.key["access_id"] ?? row.key["vault_id"] ?? "";
    return this.poisoned.has(id) || this.#draws(this.faults.flipRow);
  }

  #repeatLater(request: Sent): void {
    this.#scheduler.schedule(this.#random.fraction() * this.faults.lateMsMax, () => {
      this.note(`late repetition of ${summary(request.path, JSON.parse(request.json) as Frame)}`);
      if (this.#isCut(request)) return;
      this.#deliver(request).catch(() => undefined);
    });
  }

  #garbage(): Reply {
    const replies: readonly Reply[] = [
      { status: 500, body: undefined },
      { status: 200, body: undefined },
      { status: 200, body: { site: "calgary" } },
      { status: 302, body: undefined },
      { status: 401, body: { code: "unauthorized" } },
    ];
    return replies[Math.floor(this.#random.fraction() * replies.length)] ?? { status: 500, body: undefined };
  }

  #isCut({ from, to }: { readonly from: SiteName; readonly to: SiteName }): boolean {
    return this.#cut.has(linkName(from, to));
  }

  #draws(likelihood: number): boolean {
    return likelihood > 0 && this.#random.fraction() < likelihood;
  }

  #delay(msMax: number): Promise<void> {
    const ms = 1 + Math.floor(this.#random.fraction() * msMax);
    return new Promise((resolve) => this.#scheduler.schedule(ms, resolve));
  }
}

/** What is looked at of a frame; it holds more. */
type Frame = {
  protocol?: number;
  readonly epoch?: Epoch;
  readonly step?: string;
  readonly action?: string;
  readonly rows?: { kind: string; key: Record<string, string>; hash: string }[];
} & Readonly<Record<string, unknown>>;

const unknownFields = { of_the_next_protocol: { is: ["not", "known", 1] } };

/** A newer program speaks to one of its own kind as it likes; an older one does not know its protocol. */
function speakNewer(frame: Frame, isKnown: boolean): void {
  Object.assign(frame, unknownFields);
  if (!isKnown && typeof frame.protocol === "number") frame.protocol += 1;
}

function summary(path: string, { after, through, applied, rows, step, action, digest }: Frame): string {
  if (path === applyPath) {
    return `push ${String(after)} to ${String(through)}, ${rows?.length} rows${digest ? ", digest" : ""}`;
  }
  return `${path.split("/").at(-1)} ${step ?? action ?? ""} at ${String(applied)}`;
}

function summaryOfReply({ body }: Reply): string {
  const { applied, code, rejected, verified, aside } = (body ?? {}) as Record<string, unknown>;
  return [
    code ?? "",
    applied ?? "",
    Array.isArray(rejected) && rejected.length > 0 ? `${rejected.length} rejected` : "",
    typeof verified === "boolean" ? `verified ${verified}` : "",
    typeof aside === "number" && aside > 0 ? `${aside} aside` : "",
  ].join(" ");
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

function linkName(a: SiteName, b: SiteName): string {
  return [a, b].sort().join("-");
}
