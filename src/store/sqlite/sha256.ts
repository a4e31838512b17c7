import { createHash, hash } from "node:crypto";
import type { Hash } from "../../core/ports.ts";

/** The machine's SHA-256, for threads: no port can be handed to one. */
export const sha256: Hash = {
  sha256: (...parts) => {
    const [first, ...rest] = parts;
    if (first !== undefined && rest.length === 0) return hash("sha256", first, "buffer");
    const made = createHash("sha256");
    for (const part of parts) made.update(part);
    return made.digest();
  },
};
