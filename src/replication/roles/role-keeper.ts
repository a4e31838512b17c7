import type { Alerts } from "../../core/edition.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import { sayHello } from "../hello.ts";
import { identityOf } from "../identity.ts";
import type { PeerLink } from "../peer-link.ts";
import type { Workers } from "../primary/workers.ts";
import { type Duty, isSameStanding, type Standing, standingOf } from "./duty.ts";
import { persist, type PersistPorts } from "./persist.ts";
import { endReign, settleReign, tellFence, tellUnanswered } from "./reign.ts";

export type RoleKeeperOptions = PersistPorts & {
  readonly store: Transacts<"site" | "roles" | "aside"> & Pick<Store, "homecoming">;
  readonly alerts: Alerts;
  readonly publicUrl: string;
  readonly workers: Workers;
  readonly peers: () => readonly PeerLink[];
};

/**
 * Brings what runs in line with the site's role, which lives in the store and nowhere else. Whoever may have changed the role,
 * or met a message that did, calls `look`; there is no other way in which workers start or end.
 */
export class RoleKeeper {
  readonly #options: RoleKeeperOptions;
  readonly #stop = new AbortController();
  readonly #errands = new Set<Promise<void>>();
  #standing: Standing | null = null;
  /** Ends what belongs to the standing alone. */
  #change = new AbortController();
  #looking: Promise<void> | null = null;
  #asked = 0;
  #isDoubted = false;
  /** What is told of one standing is told before anything of the next. */
  #told: Promise<void> = Promise.resolve();
  readonly #greeted = new Map<SiteName, { readonly link: PeerLink; readonly abort: AbortController }>();

  constructor(options: RoleKeeperOptions) {
    this.#options = options;
  }

  /** What the site did when it was last looked at; null before that. */
  get duty(): Duty | null {
    return this.#standing?.duty ?? null;
  }

  /**
   * Looks at the store, and resolves when what runs is in line with what it says; what has to be told is told after that. A
   * disk that fails is asked again, so a caller that must answer soon should not wait for this.
   */
  look(): Promise<void> {
    this.#asked += 1;
    this.#looking ??= this.#lookWhileAsked();
    return this.#looking;
  }

  /** Looks, and has told anew what belongs to the standing, also where it seems to be the one before. */
  doubt(): void {
    this.#isDoubted = true;
    void this.look();
  }

  /** Runs what must outlive its caller, until it is done or the site stops. */
  errand(run: (abort: AbortSignal) => Promise<void>): void {
    this.#track(run(this.#stop.signal));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#change.abort();
    await this.#looking;
    await this.#told;
    while (this.#errands.size > 0) await Promise.all(this.#errands);
  }

  async #lookWhileAsked(): Promise<void> {
    await persist(this.#options, this.#stop.signal, async () => {
      let asked: number;
      do {
        asked = this.#asked;
        this.#enter(standingOf(await this.#options.store.read((r) => r.site.record())));
      } while (asked !== this.#asked);
      // In the same turn as the comparison, so that whoever asks next is not taken for part of this look.
      this.#looking = null;
      return "done";
    });
  }

  #enter(standing: Standing): void {
    if (this.#stop.signal.aborted) return;
    const before = this.#standing;
    const isNew = !isSameStanding(before, standing);
    this.#standing = standing;
    if (isNew) {
      this.#change.abort();
      this.#change = new AbortController();
      this.#greeted.clear();
    }
    this.#arrange(standing.duty, isNew && before?.duty === "ship");
    if (isNew || this.#isDoubted) this.#tell(standing);
    this.#isDoubted = false;
  }

  /** What runs. May be repeated. */
  #arrange(duty: Duty, hasShipped: boolean): void {
    const { workers } = this.#options;
    switch (duty) {
      case "ship":
        // A reign that follows on another of this site, or the end of a fence: the workers are there, and everybody is owed a push.
        if (hasShipped) workers.contact({ retryQuarantined: false });
        return workers.run();
      case "await_answer":
      case "rest":
        return workers.fence();
      case "follow":
        workers.rest();
        return this.#greet();
    }
  }

  /** Once for each standing, after what is told of the one before. */
  #tell({ duty, fenced }: Standing): void {
    const { signal } = this.#change;
    const tells: Readonly<Record<Duty, (abort: AbortSignal) => Promise<void>>> = {
      ship: (abort) =>
        fenced === null ? settleReign(this.#options, abort) : tellUnanswered(this.#options, abort),
      await_answer: async (abort) => {
        await Promise.all([this.#askForAnswer(abort), tellUnanswered(this.#options, abort)]);
      },
      rest: (abort) => tellFence(this.#options, abort),
      // What the last attempt of a worker has told must not stay behind.
      follow: async (abort) => {
        await this.#options.workers.retired();
        await endReign(this.#options, abort);
      },
    };
    this.#told = this.#told.then(() => tells[duty](signal));
  }

  /** A backup says hello to each peer once; a change of the peers is looked at here too. */
  #greet(): void {
    const peers = this.#options.peers();
    for (const [site, { link, abort }] of this.#greeted) {
      if (peers.some(({ transport }) => transport === link.transport)) continue;
      abort.abort();
      this.#greeted.delete(site);
    }
    for (const link of peers) {
      if (this.#greeted.has(link.site)) continue;
      const abort = new AbortController();
      this.#greeted.set(link.site, { link, abort });
      const ended = AbortSignal.any([this.#change.signal, abort.signal]);
      const { site: peer, transport } = link;
      this.#track(sayHello({ ...this.#options, peer, transport, abort: ended }));
    }
  }

  /**
   * Whoever holds the open grant has used it, or somebody else was promoted: only its holder knows. Asked until it answers; a
   * holder that has not decided declines, which is right, since the grant can no longer be what it was.
   */
  async #askForAnswer(abort: AbortSignal): Promise<void> {
    const { store, peers } = this.#options;
    await persist(this.#options, abort, async () => {
      const site = await store.read((r) => r.site.record());
      const link = peers().find((peer) => peer.site === site.grant?.to);
      if (!site.grant || !link) return "done";
      const { id: grantId } = site.grant;
      const reply = await link.transport.grant(identityOf(site), { action: "revoke", grantId }, abort);
      if (reply.kind !== "answered" || !reply.answer || reply.identity.site !== link.site) return "again";
      const { answer } = reply;
      await store.transact((tx) => tx.roles.endGrant(grantId, answer));
      void this.look();
      return "done";
    });
  }

  #track(errand: Promise<void>): void {
    this.#errands.add(errand);
    void errand.finally(() => this.#errands.delete(errand));
  }
}
