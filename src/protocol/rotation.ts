import { z } from "zod";

/** How two sites change their pair's secret: `POST /api/replication/rotate`, with the peer's credential. */
export const rotatePath = "/api/replication/rotate";
export const rotateProtocol = 1;
export const rotateBytesMax = 4 * 1024;

const bytes = (length: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${length * 2}}$`), `must be ${length * 2} hexadecimal digits`)
    .transform((hex) => new Uint8Array(Buffer.from(hex, "hex")));
const tokenId = z.string().regex(/^[0-9a-f]{32}$/, "must be the id of a token");
const protocol = z.literal(rotateProtocol);

export const rotateRequest = z.discriminatedUnion("action", [
  /** Let us agree on a new secret, which follows from the one named. */
  z.strictObject({
    protocol,
    action: z.literal("offer"),
    under: tokenId,
    key: bytes(32),
    nonce: bytes(32),
    proof: bytes(32),
  }),
  /** I have the new one and use it: forget the old one, and say so. */
  z.strictObject({ protocol, action: z.literal("confirm"), keep: tokenId, drop: tokenId, proof: bytes(32) }),
]);

export type RotateRequest = z.output<typeof rotateRequest>;
export type RotateOffer = Extract<RotateRequest, { readonly action: "offer" }>;
export type RotateConfirm = Extract<RotateRequest, { readonly action: "confirm" }>;

export const offerAnswer = z.object({ key: bytes(32), nonce: bytes(32), proof: bytes(32) });
export const confirmAnswer = z.object({ proof: bytes(32) });
