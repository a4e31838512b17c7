import { compareEpochs, type Epoch } from "../../src/core/epoch.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { SiteName } from "../../src/core/ids.ts";
import {
  comparePositions,
  formatPosition,
  origin,
  parsePosition,
  type Position,
} from "../../src/core/position.ts";
import type { Site } from "../../src/core/store/site.ts";
import { applyPath, type Reply } from "../../src/replication/transport.ts";
import type { SiteProcess } from "./site-process.ts";

/** Four probes, some of which a failing disk may swallow. */
const silenceMsMax = 70 * 60_000;

/** The watermark of its last acknowledgement, and the epoch of its last push. */
type Told = { readonly applied?: Position; readonly epoch?: Epoch };

type Seen = { readonly head: Position; readonly epoch: Epoch; readonly epochSeen: Epoch };

/**
 * What must hold at every moment, whatever else goes wrong: it is told of what happens and looks at the sites after each
 * step. What it finds is thrown by the next `look`.
 */
export class Watch {
  readonly #primaryOf = new Map<string, SiteName>();
  readonly #seen = new Map<SiteName, Seen>();
  readonly #comingHome = new Map<SiteName, Set<symbol>>();
  readonly #violations: string[] = [];
  /** The highest watermark that each site ever had on disk. */
  readonly #applied = new Map<SiteName, Position>();
  /** What each site has told another of itself, and so must never lose but with its disk. */
  readonly #told = new Map<SiteName, Told>();
  readonly #pushedAt = new Map<SiteName, number>();
  /** Processes that had something dirty at every look so far since. */
  readonly #dirtySince = new Map<SiteName, { readonly process: SiteProcess; readonly sinceMs: number }>();
  /** Sites that had a peer removed: what it lacks is marked no more, and marked again in slices when it is back. */
  readonly #partedWith = new Set<SiteName>();

  /** A site's disk was put back: its watermark, and what it has seen, may have moved back. */
  forget(site: SiteName): void {
    this.#seen.delete(site);
    this.#told.delete(site);
  }

  /**
   * I4, I8: what a site has told others, no cut of the power takes from it. What it has told nobody may go.
   * @param left what the cut has left
   */
  lostPower({ site, head, epochSeen }: Site): void {
    const { applied, epoch } = this.#told.get(site) ?? {};
    this.#seen.delete(site);
    if (applied && !this.#comingHome.has(site) && comparePositions(head.position, applied) < 0)
      this.#violations.push(
        `${site} has acknowledged ${formatPosition(applied)}, and with the power it lost what is above ${formatPosition(head.position)}`,
      );
    if (epoch && compareEpochs(epochSeen, epoch) < 0)
      this.#violations.push(`${site} has pushed in epoch ${epoch.number}, and lost it with the power`);
    this.ended(site);
  }

  /** An operator has a site come home: until the returned function is called, its watermark may move back. */
  comesHome(site: SiteName): () => void {
    const underWay = this.#comingHome.get(site) ?? new Set();
    this.#comingHome.set(site, underWay);
    const homecoming = Symbol(site);
    underWay.add(homecoming);
    this.#told.delete(site);
    return () => {
      if (underWay.delete(homecoming)) this.forget(site);
    };
  }

  /** A peer was removed from a site's configuration. */
  partsWith(site: SiteName): void {
    this.#partedWith.add(site);
  }

  /**
   * I3: a row that a primary has written itself carries its mark until every peer has had it on disk at some time.
   * @param unmarked the highest such row without a mark
   */
  marks({ site, role, fenced }: Site, unmarked: Position, peers: readonly SiteName[]): void {
    if (role !== "primary" || fenced !== null || this.#partedWith.has(site)) return;
    for (const peer of peers) {
      const applied = this.#applied.get(peer) ?? origin.position;
      if (comparePositions(unmarked, applied) > 0)
        this.#violations.push(
          `${site} has no mark at ${formatPosition(unmarked)}, and ${peer} never had more than ${formatPosition(applied)}`,
        );
    }
  }

  /**
   * A primary takes itself for one that went back only where its disk was put back: what a cut of the power may take from it, it has
   * shown to nobody.
   */
  fence({ site, fenced }: Site, isPutBack: boolean): void {
    if (fenced === "primary_behind" && !isPutBack)
      this.#violations.push(`${site} is fenced as behind its backup, and its disk was never put back`);
  }

  /** A site sends a push. */
  pushes(site: SiteName, epoch: Epoch, nowMs: number): void {
    this.claim(site, epoch);
    this.#told.set(site, { ...this.#told.get(site), epoch });
    this.#pushedAt.set(site, nowMs);
  }

  /**
   * I13: a process that has something dirty goes on trying.
   * @param dirty how many rows a primary that ships has to ship
   */
  tries(process: SiteProcess, site: SiteName, dirty: number, nowMs: number): void {
    const before = this.#dirtySince.get(site);
    if (dirty === 0) this.#dirtySince.delete(site);
    else if (before?.process !== process) this.#dirtySince.set(site, { process, sinceMs: nowMs });
    if (dirty === 0 || before?.process !== process) return;
    const sinceMs = Math.max(before.sinceMs, this.#pushedAt.get(site) ?? 0);
    if (nowMs - sinceMs > silenceMsMax)
      this.#violations.push(
        `${site} has ${dirty} rows dirty and has pushed nothing for ${nowMs - sinceMs} ms`,
      );
  }

  /** A site's process has ended, and what an operator had it do with it. */
  ended(site: SiteName): void {
    if (this.#comingHome.delete(site)) this.forget(site);
  }

  /** A bug: an error that is no expected refusal. Returns what a caller may go on with. */
  report(error: unknown): Refusal {
    this.#violations.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return new Refusal("internal");
  }

  /** I8: a site has acted as the primary of an epoch. */
  claim(site: SiteName, epoch: Epoch): void {
    const name = `${epoch.number}/${epoch.id}`;
    const first = this.#primaryOf.get(name) ?? site;
    this.#primaryOf.set(name, first);
    if (first !== site)
      this.#violations.push(`epoch ${epoch.number} has two primaries: ${first} and ${site}`);
  }

  /** I9: a site has taken a client's write, in a transaction that found it so. */
  wrote({ site, role, fenced, epoch }: Site): void {
    this.claim(site, epoch);
    if (role !== "primary" || fenced !== null)
      this.#violations.push(`${site} took a write as ${role}, fenced: ${fenced}`);
  }

  /** I8: a site that takes a push has seen no higher epoch before. */
  async receiving(
    record: () => Site,
    path: string,
    receive: () => Promise<Reply>,
    body: unknown,
  ): Promise<Reply> {
    if (path !== applyPath) return receive();
    const { site, epochSeen } = record();
    const reply = await receive();
    this.#hasApplied(record());
    if (reply.status !== 200) return reply;
    const { epoch } = body as { epoch: Epoch };
    const { applied } = reply.body as { applied: string };
    const position = parsePosition(applied);
    if (position) this.#told.set(site, { ...this.#told.get(site), applied: position });
    if (compareEpochs(epoch, epochSeen) < 0)
      this.#violations.push(`${site} took a push of epoch ${epoch.number}, having seen ${epochSeen.number}`);
    return reply;
  }

  /** I6, I8: neither what a site has seen nor its watermark moves back. Throws whatever was found since the last look. */
  look(sites: readonly Site[]): void {
    for (const site of sites) this.#look(site);
    const [first] = this.#violations;
    if (first) throw new Error(first);
  }

  /** Nothing is looked at any more. */
  end(): void {
    this.#dirtySince.clear();
    this.#seen.clear();
    this.#applied.clear();
    this.#told.clear();
  }

  #look({ site, role, head, epoch, epochSeen }: Site): void {
    if (role === "primary") this.claim(site, epoch);
    this.#hasApplied({ site, head });
    const before = this.#seen.get(site);
    this.#seen.set(site, { head: head.position, epoch, epochSeen });
    if (!before) return;
    const mayMoveBack = (this.#comingHome.get(site)?.size ?? 0) > 0;
    if (!mayMoveBack && comparePositions(head.position, before.head) < 0)
      this.#violations.push(
        `the watermark of ${site} has moved back from ${formatPosition(before.head)} to ${formatPosition(head.position)}`,
      );
    if (compareEpochs(epoch, before.epoch) < 0 || compareEpochs(epochSeen, before.epochSeen) < 0)
      this.#violations.push(`the epoch of ${site} has moved back`);
  }

  #hasApplied({ site, head }: Pick<Site, "site" | "head">): void {
    const before = this.#applied.get(site) ?? origin.position;
    if (comparePositions(head.position, before) > 0) this.#applied.set(site, head.position);
  }
}
