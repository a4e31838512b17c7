import type { EditionReply } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { ApplyOutcome } from "../../core/store/replication.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import { decodePush, encodeApplied, encodeRefused } from "../../protocol/push-frames.ts";
import { readFrame } from "./admission.ts";

/** Who hears what a push has brought with it. */
export type PushListener = {
  /** This site was a primary until this push. */
  readonly onYield?: () => void;
  /** The push has told of the sender's audit. */
  readonly onAudit?: () => void;
};

/**
 * Answers one push: reads the frame, and lets the store judge and apply it in one durable transaction. The answer is made of
 * what the transaction saw, so an ACK never speaks of anything that is not on disk, nor of a purge that still is.
 * @param peer the site that the credential names; a push that names another is not its to send
 * @throws Refusal `invalid_request` for a frame that cannot be read; `busy` where what a push took away for good could not be
 *   erased yet, the push applied or not; the store's for a failing disk
 */
export async function receivePush(
  store: Transacts<"replication" | "site"> & Pick<Store, "erasure">,
  peer: SiteName,
  body: unknown,
  told: PushListener = {},
): Promise<EditionReply> {
  const push = await readFrame(store, decodePush(body));
  if ("status" in push) return push;
  if (push.site !== peer) throw new Refusal("unauthorized");
  const outcome = await store.transact((tx) => tx.replication.applyPush(push));
  if (outcome.hasYielded) told.onYield?.();
  if (namesPoint(outcome)) await store.erasure.eraseRemains();
  const { receiver: identity, rejected } = outcome;
  if (outcome.kind === "refused") {
    return { status: 409, body: encodeRefused(outcome.code, identity, rejected) };
  }
  const { accepted, ignored, verified, aside, audit } = outcome;
  if (push.audit) told.onAudit?.();
  const applied = { identity, accepted, ignored, rejected, verified, aside, audit };
  return { status: 200, body: encodeApplied(applied) };
}

/** Whether the sender will take the point that the answer names for acknowledged, with every purge below it. */
function namesPoint(outcome: ApplyOutcome): boolean {
  return outcome.kind === "applied" || outcome.code === "resume";
}
