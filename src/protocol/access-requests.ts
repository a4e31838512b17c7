import { z } from "zod";
import { scopes } from "../core/access.ts";
import * as limits from "./limits.ts";
import { text } from "./text.ts";

/** A name as people read it in lists: one line, with something to see in it. */
export const lineField = text(limits.accessNameLengthMax)
  .min(1)
  .refine((value) => value.trim() !== "" && !/\p{Cc}/u.test(value), "must be one line that is not blank");

/** When an access or a token ends, in milliseconds; null where it never does. */
export const expiryField = z.iso
  .datetime({ offset: true, error: "must be a time such as 2027-01-31T12:00:00Z" })
  .transform((value) => Date.parse(value))
  .nullable()
  .default(null);

const scope = z.enum(scopes);

/** A machine gets a token; a person logs in with a passphrase, which is made where none is chosen. */
export const newAccessSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("machine"), name: lineField, scope, expires_at: expiryField }),
  z.strictObject({
    kind: z.literal("person"),
    login: z.string().max(limits.loginLengthMax),
    passphrase: text(limits.passphraseLengthMax).min(1).optional(),
    scope,
    expires_at: expiryField,
  }),
]);

export type NewAccessRequest = z.output<typeof newAccessSchema>;

const flag = z.enum(["true", "false"]).transform((value) => value === "true");

/** `keep_key` ends the access and leaves the vault's key as it is. */
export const revokeQuerySchema = z.strictObject({ keep_key: flag.default(false) });
