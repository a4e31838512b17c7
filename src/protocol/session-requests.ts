import { z } from "zod";
import { isUuid, type VaultId } from "../core/ids.ts";
import * as limits from "./limits.ts";
import { text } from "./text.ts";

const vaultId = z
  .string()
  .refine((id) => isUuid(id), "must be a vault's id")
  .transform((id) => id as VaultId);

/** What POST /api/sessions takes. */
export const newSessionSchema = z.strictObject({
  login: z.string().regex(/^[A-Za-z0-9._@+-]{1,64}$/, "must be 1 to 64 of a-z, 0-9 and ._@+-"),
  passphrase: text(limits.passphraseLengthMax).min(1),
  /** Only this vault, where another owner uses the same login for another passphrase. */
  vault_id: vaultId.optional(),
});
