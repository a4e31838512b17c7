import { z } from "zod";
import type { AuditPlace } from "../core/store/audit.ts";
import { type ChainId, isUuid } from "../core/ids.ts";
import { pageLimitMax } from "./limits.ts";

const limitRule = `must be a number from 1 to ${pageLimitMax}`;
const cursorRule = "must be the next_cursor of the page before";

/** What `GET /api/audit` takes; the admin command takes the same. */
export const auditListQuerySchema = z.strictObject({
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, limitRule)
    .transform(Number)
    .refine((count) => count <= pageLimitMax, limitRule)
    .default(100),
  cursor: z
    .string()
    .max(80)
    .transform((text, context): AuditPlace => {
      const place = parsePlace(text);
      if (place) return place;
      context.addIssue({ code: "custom", message: cursorRule });
      return z.NEVER;
    })
    .optional(),
  vault_id: z.string().refine(isUuid, "must be a vault's id").optional(),
});

export type AuditListQuery = z.output<typeof auditListQuerySchema>;

/** The admin command `audit`. */
export const auditFields = z.discriminatedUnion("action", [
  auditListQuerySchema.extend({ action: z.literal("list") }),
  z.strictObject({ action: z.literal("verify") }),
]);

const placePattern = /^(\d{1,16})\.([0-9a-f-]{36})\.(\d{1,15})$/;

function parsePlace(text: string): AuditPlace | undefined {
  const [, at = "", chain = "", seq = ""] = placePattern.exec(text) ?? [];
  if (!isUuid(chain) || !Number.isSafeInteger(Number(at))) return undefined;
  return { at: Number(at), chain: chain as ChainId, seq: Number(seq) };
}

/** What is wrong with a chain, or with what is known of it. */
export type AuditFault =
  /** A record is missing, or is not what it was. */
  | "broken"
  /** Records at its end are missing: its head is another, or a peer has shown more of it. */
  | "truncated"
  /** A peer has shown it to go on otherwise than here. */
  | "forked";

export type VerifiedChain = {
  readonly site: string;
  readonly chain: string;
  /** Whether this site appends to it. */
  readonly own: boolean;
  /** The number of the first record that is kept, and of the last. */
  readonly first: number;
  readonly last: number;
  /** A later chain of the same site names it: what became of it is on record, and is no fault. */
  readonly settled: boolean;
  readonly fault: AuditFault | null;
  /** Where the fault is: the number of the first record that is not as it was. */
  readonly at: number | null;
  /** The peer that has shown it. */
  readonly peer: string | null;
};

export type AuditVerifyResult = {
  readonly whole: boolean;
  readonly records: number;
  readonly chains: readonly VerifiedChain[];
};
