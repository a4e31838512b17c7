import type { EditionReply } from "../../core/edition.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Transacts } from "../../core/store/store.ts";
import { decodeLocate, encodeLocateReply } from "../../protocol/role-frames.ts";
import { identityOf } from "../identity.ts";
import { admit, readFrame } from "./admission.ts";

/**
 * Tells a site that comes home up to where its history is this site's: the first of its points that this one went through.
 * Changes nothing but a higher epoch seen.
 * @throws Refusal `invalid_request`, `unauthorized`
 */
export async function receiveLocate(
  store: Transacts<"site">,
  peer: SiteName,
  body: unknown,
): Promise<EditionReply> {
  const locate = await readFrame(store, decodeLocate(body));
  if ("status" in locate) return locate;
  const admitted = await admit(store, peer, locate.identity);
  if ("status" in admitted) return admitted;
  const common = (await store.read((r) => r.site.firstKnown(locate.points))) ?? null;
  const timeline = await store.read((r) => r.site.timeline());
  const identity = identityOf(await store.read((r) => r.site.record()));
  return { status: 200, body: encodeLocateReply(identity, { timeline, common }) };
}
