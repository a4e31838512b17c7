/** Byte strings that the core compares and joins; everything else about bytes belongs to a port. */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes; throws a TypeError on bytes that are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Whether two byte strings are equal. Not constant in time: never for secrets. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/** A big-endian 64-bit integer, for numbers that must hash alike everywhere. */
export function u64be(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  setU64be(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** Writes what `u64be` returns; every write of a client hashes several, and a BigInt for each would be most of that. */
export function setU64be(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 2 ** 32));
  view.setUint32(offset + 4, value % 2 ** 32);
}

/** Two digits for each byte. */
const hexOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Bytes as lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += hexOfByte[byte];
  return hex;
}

/** The bytes of what toHex made; anything else is a bug and gives bytes of no meaning. */
export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i += 1) {
    bytes[i] = digitOf(hex.charCodeAt(2 * i)) * 16 + digitOf(hex.charCodeAt(2 * i + 1));
  }
  return bytes;
}

/** `0` to `9` stand at 48 in Unicode, `a` to `f` at 97. */
function digitOf(code: number): number {
  return code < 97 ? code - 48 : code - 87;
}
