import type { AdminRequest } from "../core/edition.ts";
import { bytesEqual } from "../core/bytes.ts";
import { bucketCount, Buckets } from "../core/digest.ts";
import type { PeerAnswer, RepairCursor, RepairReply, RepairStep } from "../core/ports.ts";
import { comparePositions, type Point, type Position } from "../core/position.ts";
import { isListedOn, type RowSummary } from "../core/repair.ts";
import { formatKey, type RowKey } from "../core/row.ts";
import type { Store, Transacts } from "../core/store/store.ts";
import type { Recount } from "../core/store/survey.ts";
import type { RowDifference, VerifiedPeer } from "../protocol/admin-requests.ts";
import { identityOf } from "./identity.ts";
import type { PeerLink } from "./peer-link.ts";

export type Comparison = {
  readonly store: Transacts<"site" | "replication" | "repair"> & Pick<Store, "acknowledgements" | "survey">;
  readonly link: PeerLink;
  /** This site's own count. */
  readonly counted: Recount;
  /** Keys, as formatKey writes them, that the peer refuses. */
  readonly quarantined: ReadonlySet<string>;
};

type Call = Pick<AdminRequest, "progress" | "signal">;
type Differing = VerifiedPeer["differing"];
type Stopped = { readonly stopped: string };

/** A step is refused where a push has moved the backup since: then it is asked again where it stands now. */
const attemptsMax = 20;

/** Rows read of a bucket at a time. */
const bucketRowsMax = 2_000;

/**
 * Compares a backup with this primary by buckets, and by rows where those differ; both go on working. Returns why it could not
 * be done where the backup does not answer.
 */
export async function compareWithPeer(
  comparison: Comparison,
  call: Call,
): Promise<{ readonly rows: number; readonly differing: Differing } | string> {
  const { link, counted } = comparison;
  const theirs = await countThere(comparison, call);
  if ("stopped" in theirs) return theirs.stopped;
  const buckets = theirs.buckets
    ? unequal(counted, theirs.buckets, theirs.damaged)
    : Array.from({ length: bucketCount }, (_, number) => number);
  const differing: { key: string; what: RowDifference }[] = [];
  let rows = theirs.rows;
  for (const [done, bucket] of buckets.entries()) {
    call.progress({ stage: link.site, done, total: buckets.length });
    const found = await compareBucket(comparison, bucket, call);
    if ("stopped" in found) return found.stopped;
    differing.push(...found.differing);
    if (!theirs.buckets) rows += found.rows;
  }
  return { rows, differing };
}

type CountThere = {
  /** Null where the backup moves faster than it counts: then every bucket is compared by rows. */
  readonly buckets: Buckets | null;
  readonly damaged: readonly number[];
  readonly rows: number;
};

async function countThere(comparison: Comparison, call: Call): Promise<CountThere | Stopped> {
  const found = await ask(comparison, { step: "recount" }, call, 3);
  if ("stopped" in found) return found.isMoving ? { buckets: null, damaged: [], rows: 0 } : found;
  const { reply } = found;
  if (reply.step !== "recount") return { stopped: "the answer makes no sense" };
  return { buckets: new Buckets(reply.buckets), damaged: reply.damaged, rows: reply.rows };
}

function unequal({ buckets }: Recount, theirs: Buckets, damaged: readonly number[]): readonly number[] {
  return [...new Set([...buckets.differing(theirs), ...damaged])].toSorted((a, b) => a - b);
}

/** This site's rows are read after the backup's, so that none is missed that was written in between. */
async function compareBucket(
  comparison: Comparison,
  bucket: number,
  call: Call,
): Promise<{ readonly rows: number; readonly differing: Differing } | Stopped> {
  const theirs = new Map<string, RowSummary>();
  let after: RepairCursor | null = null;
  let acked: Position | null = null;
  do {
    const found = await ask(comparison, { step: "list", buckets: [bucket], after }, call, attemptsMax);
    if ("stopped" in found) return found;
    const { reply, at } = found;
    const isSense = reply.step === "list" && isListedOn({ buckets: [bucket], after }, reply);
    if (!isSense) return { stopped: "the answer makes no sense" };
    for (const row of reply.rows) theirs.set(formatKey(row.key), row);
    // What was written after the first page may stand in a later one, and not in this.
    acked ??= at.position;
    after = reply.next;
  } while (after !== null);
  const own: RowSummary[] = [];
  for await (const row of rowsOfBucket(comparison.store, bucket)) own.push(row);
  return { rows: theirs.size, differing: differences(own, theirs, acked, comparison.quarantined) };
}

function differences(
  own: readonly RowSummary[],
  theirs: ReadonlyMap<string, RowSummary>,
  acked: Position,
  quarantined: ReadonlySet<string>,
): Differing {
  const differing: { key: string; what: RowDifference }[] = [];
  const ownKeys = new Set<string>();
  for (const row of own) {
    const key = formatKey(row.key);
    ownKeys.add(key);
    if (quarantined.has(key) || comparePositions(row.position, acked) > 0) continue;
    const what = differenceOf(row, theirs.get(key));
    if (what) differing.push({ key, what });
  }
  for (const key of theirs.keys()) if (!ownKeys.has(key)) differing.push({ key, what: "unknown_here" });
  return differing;
}

function differenceOf(own: RowSummary, theirs: RowSummary | undefined): RowDifference | undefined {
  if (!theirs) return "missing";
  if (!theirs.isIntact) return "damaged";
  const order = comparePositions(theirs.position, own.position);
  if (order !== 0) return order < 0 ? "older" : "newer";
  return bytesEqual(own.hash, theirs.hash) ? undefined : "other";
}

type Asked = { readonly reply: RepairReply; readonly at: Point } | (Stopped & { readonly isMoving: boolean });

/** One step, asked where the backup stands; again where it has moved on. */
async function ask(
  { store, link }: Comparison,
  step: RepairStep,
  { signal }: Call,
  attempts: number,
): Promise<Asked> {
  for (let attempt = 1; ; attempt += 1) {
    const at = (await store.read((r) => r.replication.peers())).find(({ site }) => site === link.site)?.acked;
    if (!at) return { stopped: "where it stands is not known yet", isMoving: false };
    const from = identityOf(await store.read((r) => r.site.record()));
    const { answer } = await link.transport.repair({ ...step, from, at }, signal);
    if (answer.kind === "answered" && answer.identity.site === link.site) return { reply: answer.reply, at };
    const isMoving = answer.kind === "refused" && answer.code === "resume";
    if (!isMoving || attempt === attempts) return { stopped: describe(answer, link), isMoving };
  }
}

function describe(answer: PeerAnswer<object>, link: PeerLink): string {
  switch (answer.kind) {
    case "answered":
      return `${answer.identity.site} answers in its place`;
    case "refused":
      return answer.code === "resume"
        ? "it does not stand where this primary believes it to, or moves too fast to be compared"
        : `${link.site} refuses: ${answer.code}`;
    case "unauthorized":
      return "it does not take this site's credential";
    case "failed":
      return `it does not answer (${answer.error})`;
  }
}

/** This site's rows of one bucket, by key. */
export async function* rowsOfBucket(
  store: Transacts<"repair"> & Pick<Store, "survey">,
  bucket: number,
): AsyncGenerator<RowSummary> {
  let after: RowKey | null = null;
  for (;;) {
    const rows = await store.survey.bucketRows(bucket, after, bucketRowsMax);
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < bucketRowsMax) return;
    after = last.key;
  }
}
