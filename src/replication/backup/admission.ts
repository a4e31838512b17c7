import type { EditionReply } from "../../core/edition.ts";
import { type ErrorCode, Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Identity } from "../../core/push.ts";
import type { Site } from "../../core/store/site.ts";
import type { Transacts } from "../../core/store/store.ts";
import { encodeIdentity } from "../../protocol/identity-frames.ts";
import type { Decoded } from "../../protocol/wire-fields.ts";
import { identityOf } from "../identity.ts";

/** The frame's content, or the answer to one of a protocol that this program does not speak. */
export async function readFrame<T extends object>(
  store: Transacts<"site">,
  decoded: Decoded<T>,
): Promise<T | EditionReply> {
  if (decoded.kind === "decoded") return decoded.value;
  if (decoded.kind === "unsupported") {
    return refusalReply("protocol_unsupported", identityOf(await store.read((r) => r.site.record())));
  }
  const mistakes = decoded.paths.map((path) => ({ path, message: "is missing or malformed" }));
  throw new Refusal("invalid_request", "The replication frame cannot be read.", mistakes);
}

/** A refusal in which this site names itself, as it does in every answer after the credential. */
export function refusalReply(code: ErrorCode, identity: Identity, detail?: string): EditionReply {
  return {
    status: 409,
    body: { code, ...encodeIdentity(identity), ...(detail !== undefined && { detail }) },
  };
}

/**
 * What comes before the content of every message but pushes and hellos: who sends it is whom the credential names, and of this
 * realm; an epoch higher than any seen is recorded before anything else (I8). Returns this site as it is after that, or the
 * answer to a stranger.
 * @throws Refusal `unauthorized` for a message in another site's name
 */
export async function admit(
  store: Transacts<"site">,
  peer: SiteName,
  sender: Identity,
): Promise<{ readonly site: Site } | EditionReply> {
  if (sender.site !== peer) throw new Refusal("unauthorized");
  const site = await store.read((r) => r.site.record());
  if (sender.realm === null || sender.realm !== site.realm) {
    return refusalReply("other_realm", identityOf(site));
  }
  await store.transact((tx) => tx.site.recordEpoch(sender.epoch));
  return { site: await store.read((r) => r.site.record()) };
}
