/**
 * The length that a plaintext is padded to: Padmé, of "Reducing Metadata Leakage from Encrypted Files and Communication with
 * PURBs" (Nikitin, Barman, Lueks, Underwood, Hubaux, Ford; PoPETs 2019, section 4). A length then gives away only O(log log n)
 * bits, for at most 12 % more bytes. @param length below 2^30
 */
export function padmeLength(length: number): number {
  if (length < 2) return length;
  const exponent = 31 - Math.clz32(length);
  const mantissaBits = 32 - Math.clz32(exponent);
  const mask = 2 ** Math.max(0, exponent - mantissaBits) - 1;
  return (length + mask) & ~mask;
}
