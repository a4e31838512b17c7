import type { Random } from "./ports.ts";

/** How long to wait between attempts: the customer's document, "Failure & Retry" (1, 5, 25, 125 s …). All in milliseconds. */
export type BackoffPolicy = {
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
  /** Between attempts once the operator was told. */
  readonly probeMs: number;
  /** Attempts after the first one before the operator is told. */
  readonly retriesMax: number;
};

export const defaultBackoff: BackoffPolicy = {
  baseMs: 1_000,
  factor: 5,
  capMs: 625_000,
  probeMs: 900_000,
  retriesMax: 5,
};

/** Whether `failures` failed attempts in a row are more than the policy bears in silence. */
export function isExhausted(policy: BackoffPolicy, failures: number): boolean {
  return failures > policy.retriesMax;
}

/** The wait after the `failures`-th failed attempt in a row (from 1), with 10 % of jitter either way. */
export function waitMs(policy: BackoffPolicy, failures: number, random: Random): number {
  const planned = isExhausted(policy, failures)
    ? policy.probeMs
    : Math.min(policy.baseMs * policy.factor ** (failures - 1), policy.capMs);
  return Math.round(planned * (0.9 + 0.2 * random.fraction()));
}
