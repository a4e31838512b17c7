import { errorCodes, Refusal } from "../core/errors.ts";
import { exitStatus, exitStatusOf } from "./exit-status.ts";
import { printable, withoutTokens } from "./printable.ts";

/** What came of a command that went wrong: lines for stderr and the exit status. */
export type Report = { readonly lines: readonly string[]; readonly status: number };

/** A refusal whose remedy is known better here than in the registry. */
export class CommandRefusal extends Refusal {
  readonly remedy: string;

  constructor(code: Refusal["code"], detail: string, remedy: string, mistakes: Refusal["mistakes"] = []) {
    super(code, detail, mistakes);
    this.remedy = remedy;
  }
}

/** The end of a command that has said already what came of it: nothing is left but its exit status. */
export class CommandExit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`ends with status ${status}`);
    this.status = status;
  }
}

/** A mistake in how a command was called. `remedy` says what would be right. */
export function usageRefusal(detail: string, remedy: string): CommandRefusal {
  return new CommandRefusal("usage", detail, remedy);
}

/** What would be right after a refusal. */
export function remedyOf(refusal: Refusal): string {
  return refusal instanceof CommandRefusal ? refusal.remedy : errorCodes[refusal.code].remedy;
}

/** One readable line for anything that was thrown, and one more for each mistake; never a stack trace, never a token. */
export function reportOf(error: unknown): Report {
  if (error instanceof CommandExit) return { lines: [], status: error.status };
  if (!(error instanceof Refusal)) {
    return { lines: [line(describe(error), errorCodes.internal.remedy)], status: exitStatus.failed };
  }
  const mistakes = error.mistakes.map((mistake) =>
    clean(`  ${mistake.path || "(whole)"}: ${mistake.message}`),
  );
  return { lines: [line(error.message, remedyOf(error)), ...mistakes], status: exitStatusOf(error.code) };
}

function line(what: string, remedy: string): string {
  const end = remedy === "" ? "" : ` — ${remedy.replace(/\.$/, "")}`;
  return clean(`dormouse: ${what.replace(/\.$/, "")}${end}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : "something that is no error was thrown";
}

function clean(text: string): string {
  return printable(withoutTokens(text));
}
