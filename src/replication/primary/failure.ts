import { compareEpochs, type Epoch } from "../../core/epoch.ts";
import type { ErrorCode } from "../../core/errors.ts";
import type { RealmId, SiteName } from "../../core/ids.ts";
import type { PeerAnswer } from "../../core/ports.ts";
import type { Identity } from "../../core/push.ts";
import type { Transacts } from "../../core/store/store.ts";
import { dutyOf } from "../roles/duty.ts";

/** Why an attempt came to nothing. `error` is for people and holds no address and no secret. */
export type Failure = {
  readonly kind: "unreachable" | "unauthorized" | "refused" | "local";
  readonly error: string;
};

/** What this site was when it sent what is being answered. */
export type Sender = { readonly realm: RealmId | null; readonly epoch: Epoch };

/** Why an answer is none of this peer; undefined where it is one. */
export function strangerIn(
  { site, realm }: Identity,
  peer: SiteName,
  sender: Pick<Sender, "realm">,
): Failure | undefined {
  if (site !== peer) return { kind: "refused", error: `${site} answered in its place` };
  // Epochs of another realm are no measure for this one's: a stranger must not fence anybody.
  return realm !== null && realm !== sender.realm ? { kind: "refused", error: "other_realm" } : undefined;
}

/**
 * What follows from the epoch of who answered, before anything of what the answer says: whoever sees a higher one records it,
 * and this site is fenced, before anything else (I8). Undefined: read on.
 */
export async function meetEpoch(
  store: Transacts<"site">,
  { epoch }: Identity,
  sender: Pick<Sender, "epoch">,
): Promise<Failure | "fenced" | undefined> {
  if (compareEpochs(epoch, sender.epoch) <= 0) return undefined;
  await store.transact((tx) => tx.site.recordEpoch(epoch));
  return dutyOf(await store.read((r) => r.site.record())) === "ship"
    ? { kind: "refused", error: "stale_epoch" }
    : "fenced";
}

/** Codes by which a peer says that it is not what this site takes it for; any other is a fault that may pass. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  "other_realm",
  "other_primary",
  "stale_epoch",
  "not_a_backup",
  "protocol_unsupported",
  "forked",
]);

export type Unanswered = Exclude<PeerAnswer<object>, { readonly kind: "answered" }>;

/** An answer that is none as a failed attempt. */
export function failureOf(answer: Unanswered): Failure {
  switch (answer.kind) {
    case "failed":
      return { kind: "unreachable", error: answer.error };
    case "unauthorized":
      return { kind: "unauthorized", error: "the credential was not taken" };
    case "refused":
      return { kind: refusals.has(answer.code) ? "refused" : "unreachable", error: answer.code };
  }
}

/** A fault of this site's own. */
export function localFailure(error: unknown): Failure {
  return { kind: "local", error: error instanceof Error ? error.message : "unknown" };
}
