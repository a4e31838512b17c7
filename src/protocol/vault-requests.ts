import { z } from "zod";
import * as limits from "./limits.ts";
import { text } from "./text.ts";

/** A vault's name as people read it in lists: one line, with something to see in it. */
const name = text(limits.vaultNameLengthMax)
  .min(1)
  .refine((value) => value.trim() !== "" && !/\p{Cc}/u.test(value), "must be one line that is not blank");

/** `recovery` asks for a second owner token, to be kept where the first is not. */
export const newVaultSchema = z.strictObject({ name, recovery: z.boolean().default(false) });
export type NewVault = z.output<typeof newVaultSchema>;
export const vaultPatchSchema = z.strictObject({ name });
