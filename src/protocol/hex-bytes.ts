import { z } from "zod";

/** So many bytes, as lower-case hexadecimal digits. */
export function hexBytes(count: number) {
  const digits = `${count * 2} hexadecimal digits`;
  return z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${count * 2}}$`), `must be ${digits}`)
    .transform((hex): Uint8Array => new Uint8Array(Buffer.from(hex, "hex")));
}
