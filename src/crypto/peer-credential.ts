import { hkdfSync } from "node:crypto";
import type { SiteName } from "../core/ids.ts";
import { formatToken, type Token } from "./token.ts";

const label = "dormouse/v1/peer";

/**
 * The bearer that `from` sends to `to`. Both sites derive it from the pair's one secret, so that a receiver takes a message
 * for the site that its credential names and for no other, and a credential overheard works in one direction only.
 * @param pair the `dms_` token in the pair's token file
 */
export function peerCredential(pair: Token, from: SiteName, to: SiteName): string {
  const info = `${label}\0${from}\0${to}`;
  const bytes = new Uint8Array(hkdfSync("sha256", pair.secret, pair.id, info, 48));
  return formatToken({ kind: "peer", id: bytes.subarray(0, 16), secret: bytes.subarray(16) });
}
