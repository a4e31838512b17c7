/**
 * One thing that was looked at. `detail` says what was found; `remedy` what to do, where something is to be done. A finding
 * that is in order may carry a remedy too: then it is advice.
 */
export type Finding = {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly remedy: string | null;
};

export function good(check: string, detail: string, advice: string | null = null): Finding {
  return { check, ok: true, detail, remedy: advice };
}

export function bad(check: string, detail: string, remedy: string): Finding {
  return { check, ok: false, detail, remedy };
}
