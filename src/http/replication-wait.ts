import type { BackupsHolding } from "../core/ports.ts";
import type { Position } from "../core/position.ts";
import type { StoredRow } from "../core/row.ts";
import type { ReplicationAnswer } from "../protocol/answers.ts";
import type { HttpContext } from "./call.ts";
import { replicationAnswer } from "./row-answers.ts";

/**
 * What a client that asked to wait is told of its write: which backups hold it, once all do or the time is up. A server that
 * closes answers with what holds then.
 */
export async function waitForBackups(
  { store, edition, closing }: Pick<HttpContext, "store" | "edition" | "closing">,
  row: StoredRow,
  seconds: number,
): Promise<ReplicationAnswer> {
  const backups = await holdingWithin({ edition, closing }, row.position, seconds * 1000);
  const { replicated_at } = replicationAnswer((await store.read((r) => r.rows.row(row.key))) ?? row);
  const isHeld = Object.values(backups).every(Boolean);
  return { dirty: !isHeld, replicated_at: isHeld ? replicated_at : null, backups };
}

/** Which backups hold a position, once all do or the time is up; when the server closes, which hold it then. */
export function holdingWithin(
  { edition, closing }: Pick<HttpContext, "edition" | "closing">,
  position: Position,
  ms: number,
): Promise<BackupsHolding> {
  return firstOf(edition.waitReplicated(position, ms), closing, () => edition.waitReplicated(position, 0));
}

/** What the wait brings, or, when the signal comes first, what holds then. */
async function firstOf(
  wait: Promise<BackupsHolding>,
  signal: AbortSignal,
  now: () => Promise<BackupsHolding>,
): Promise<BackupsHolding> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = () => resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const backups = await Promise.race([wait, aborted]);
  signal.removeEventListener("abort", onAbort);
  return backups ?? (await now());
}
