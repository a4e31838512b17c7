import { z } from "zod";
import * as limits from "./limits.ts";
import { text } from "./text.ts";

/** A vault's name as people read it in lists: one line, with something to see in it. */
const name = text(limits.vaultNameLengthMax)
  .min(1)
  .refine((value) => value.trim() !== "" && !/\p{Cc}/u.test(value), "must be one line that is not blank");

export const newVaultSchema = z.strictObject({ name });
export const vaultPatchSchema = z.strictObject({ name });
