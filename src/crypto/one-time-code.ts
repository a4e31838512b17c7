import type { OneTimeKey } from "../core/one-time-key.ts";

export type OneTimeCode = {
  readonly code: string;
  readonly periodSeconds: number;
  /** When the next code takes this one's place; wall clock, milliseconds since 1970. */
  readonly validUntil: number;
};

/** The code that a key gives at a time (RFC 6238). The library is loaded at the first: few sites hand out codes. */
export async function oneTimeCode(key: OneTimeKey, now: number): Promise<OneTimeCode> {
  const { Secret, TOTP } = await import("otpauth");
  const { secret, algorithm, digits, periodSeconds } = key;
  // The library takes a whole ArrayBuffer; that of a view may hold more than the secret.
  const own = new Secret({ buffer: new Uint8Array(secret).buffer });
  const code = TOTP.generate({ secret: own, algorithm, digits, period: periodSeconds, timestamp: now });
  own.bytes.fill(0);
  const periodMs = periodSeconds * 1_000;
  return { code, periodSeconds, validUntil: (Math.floor(now / periodMs) + 1) * periodMs };
}
