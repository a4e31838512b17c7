import { z } from "zod";
import { isSiteName } from "../core/ids.ts";
import { hexBytes } from "./hex-bytes.ts";
import { siteUrl } from "./site-url.ts";

/**
 * How two sites become a pair: `POST /api/pairing` at the primary, called by the site that joins. It begins, which tells it
 * the primary's half of the exchange, and then proves that it has the code, again and again until the operator has answered.
 */
export const pairingPath = "/api/pairing";
export const pairingProtocol = 1;
export const pairingBytesMax = 4 * 1024;

const party = {
  site: z.string().refine(isSiteName, "must be a site's name"),
  url: siteUrl,
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits")
    .nullable(),
  nonce: hexBytes(32),
  key: hexBytes(32),
};
const protocol = z.literal(pairingProtocol);
/** How a site checks the other's certificate from now on. Told to the other's operator, who renews it; nothing depends on it. */
const certificate = z.enum(["pinned", "verified", "none"]);

export const pairingRequest = z.discriminatedUnion("step", [
  z.strictObject({ protocol, step: z.literal("begin") }),
  z.strictObject({ protocol, step: z.literal("prove"), ...party, certificate, proof: hexBytes(32) }),
]);

export type PairingRequest = z.output<typeof pairingRequest>;
export type PairingProve = Extract<PairingRequest, { readonly step: "prove" }>;

/** What the primary says of itself. */
export const pairingBegun = z.object({ protocol, ...party });

/** The operator has not answered yet; or the pair is made, which the primary proves in its turn. */
export const pairingAnswer = z.discriminatedUnion("state", [
  z.object({ state: z.literal("waiting") }),
  z.object({ state: z.literal("joined"), certificate, proof: hexBytes(32) }),
]);

export const inviteAnswerFields = z.strictObject({
  invite_id: z.string().max(64),
  accept: z.boolean(),
  /** Demanded where the site that joins takes the place of a known peer. */
  replace: z.boolean().optional(),
});
export const joinFields = z.strictObject({ code: z.string().max(1_000) });
export const rotateFields = z.strictObject({ peer: z.string().refine(isSiteName, "must be a site's name") });

/** Told by `invite` when it begins. */
export type InviteOpened = {
  readonly invite_id: string;
  readonly code: string;
  readonly url: string;
  readonly ends_at: string;
};

/** Told by `invite` for each wrong proof that counts. */
export type InviteFailure = { readonly failures: number; readonly address: string };

/** Told by `invite` when a site has proved that it has the code: the question that `invite-answer` answers. */
export type InviteQuestion = {
  readonly joiner: {
    readonly site: string;
    readonly url: string;
    /** Where its request came from. */
    readonly address: string;
    /** SHA-256 of the certificate that it shows; null where it shows none of its own. */
    readonly fingerprint: string | null;
    /** Whether that will be pinned, or a known authority vouches for it. */
    readonly certificate: "pinned" | "verified" | "none";
    /** The peer of this name that is configured already, whose URL, secret and certificate it would replace. */
    readonly replaces: { readonly url: string; readonly fingerprint: string | null } | null;
  };
};
