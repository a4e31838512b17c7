import { z } from "zod";
import { hexBytes } from "./hex-bytes.ts";

/** How two sites change their pair's secret: `POST /api/replication/rotate`, with the peer's credential. */
export const rotatePath = "/api/replication/rotate";
export const rotateProtocol = 1;
export const rotateBytesMax = 4 * 1024;

const tokenId = z.string().regex(/^[0-9a-f]{32}$/, "must be the id of a token");
const protocol = z.literal(rotateProtocol);

export const rotateRequest = z.discriminatedUnion("action", [
  /** Let us agree on a new secret, which follows from the one named. */
  z.strictObject({
    protocol,
    action: z.literal("offer"),
    under: tokenId,
    key: hexBytes(32),
    nonce: hexBytes(32),
    proof: hexBytes(32),
  }),
  /** I have the new one and use it: forget the old one, and say so. */
  z.strictObject({
    protocol,
    action: z.literal("confirm"),
    keep: tokenId,
    drop: tokenId,
    proof: hexBytes(32),
  }),
]);

export type RotateRequest = z.output<typeof rotateRequest>;
export type RotateOffer = Extract<RotateRequest, { readonly action: "offer" }>;
export type RotateConfirm = Extract<RotateRequest, { readonly action: "confirm" }>;

export const offerAnswer = z.object({ key: hexBytes(32), nonce: hexBytes(32), proof: hexBytes(32) });
export const confirmAnswer = z.object({ proof: hexBytes(32) });
