import type { EditionReply } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Identity, PushRefusal, Rejection } from "../../core/push.ts";
import type { BackupStore, SiteStore } from "../../core/store.ts";
import { type Decoded, decodePush, encodeApplied, encodeRefused } from "../../protocol/replication-frames.ts";
import { identityOf } from "../identity.ts";

/**
 * Answers one push: reads the frame, and lets the store judge and apply it in one durable transaction. The answer is made of
 * what the transaction saw, so an ACK never speaks of anything that is not on disk.
 * @param peer the site that the credential names; a push that names another is not its to send
 * @throws Refusal `invalid_request` for a frame that cannot be read; the store's for a failing disk
 */
export async function receivePush(
  store: BackupStore & SiteStore,
  peer: SiteName,
  body: unknown,
): Promise<EditionReply> {
  const push = await readFrame(store, decodePush(body));
  if ("status" in push) return push;
  if (push.site !== peer) throw new Refusal("unauthorized");
  const outcome = await store.applyPush(push);
  if (outcome.kind === "refused") return refuse(outcome.code, outcome.receiver, outcome.rejected);
  const { receiver: identity, accepted, ignored, rejected } = outcome;
  return { status: 200, body: encodeApplied({ identity, accepted, ignored, rejected, verified: null }) };
}

/** The frame's content, or the answer to one of a protocol that this program does not speak. */
export async function readFrame<T extends object>(
  store: SiteStore,
  decoded: Decoded<T>,
): Promise<T | EditionReply> {
  if (decoded.kind === "decoded") return decoded.value;
  if (decoded.kind === "unsupported") return refuse("protocol_unsupported", identityOf(await store.site()));
  const mistakes = decoded.paths.map((path) => ({ path, message: "is missing or malformed" }));
  throw new Refusal("invalid_request", "The replication frame cannot be read.", mistakes);
}

function refuse(code: PushRefusal, identity: Identity, rejected: readonly Rejection[] = []): EditionReply {
  return { status: 409, body: encodeRefused(code, identity, rejected) };
}
