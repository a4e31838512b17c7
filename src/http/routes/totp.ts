import type { EntryField } from "../../core/entry.ts";
import { Refusal } from "../../core/errors.ts";
import { parseOneTimeKey } from "../../core/one-time-key.ts";
import { oneTimeCode } from "../../crypto/one-time-code.ts";
import type { OneTimeCodesAnswer } from "../../protocol/answers.ts";
import type { Handlers, HttpContext } from "../call.ts";
import { withOpened } from "../commit.ts";
import { openEntry } from "../entry-opening.ts";
import { addressOf } from "./entries.ts";

export function totpRoutes(context: HttpContext): Pick<Handlers, "getOneTimeCodes"> {
  return {
    getOneTimeCodes: async (call) => {
      const { entryId } = addressOf(call);
      const { entry } = await withOpened(call.principal.vault, ({ seal }) =>
        openEntry(context, seal, entryId),
      );
      const codes = await codesOf(entry.content.fields, context.clock.now());
      if (codes.length === 0) throw new Refusal("totp_missing");
      const body: OneTimeCodesAnswer = { codes };
      return { status: 200, body };
    },
  };
}

/** Of the fields that hold a one-time key; an empty one holds none. */
async function codesOf(fields: readonly EntryField[], now: number): Promise<OneTimeCodesAnswer["codes"]> {
  const codes: OneTimeCodesAnswer["codes"][number][] = [];
  for (const { label, kind, value } of fields) {
    const key = kind === "totp" ? parseOneTimeKey(value) : undefined;
    if (key === undefined) continue;
    const { code, periodSeconds, validUntil } = await oneTimeCode(key, now);
    const remaining = Math.ceil((validUntil - now) / 1_000);
    const times = { period: periodSeconds, remaining_seconds: remaining, valid_until: iso(validUntil) };
    codes.push({ label, code, ...times });
  }
  return codes;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
