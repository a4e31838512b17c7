import { constants } from "node:fs";
import { open } from "node:fs/promises";

/** What came of reading a file that holds a secret. */
export type SecretFile =
  | { readonly kind: "read"; readonly text: string }
  | { readonly kind: "missing" }
  /** Others than its owner may read or change it. */
  | { readonly kind: "exposed"; readonly mode: string }
  /** `reason` continues a sentence that begins with the file. */
  | { readonly kind: "unreadable"; readonly reason: string };

const secretBytesMax = 64 * 1024;
const othersMask = 0o077;

/**
 * Reads a file that only its owner may read (0600 or less). Mode and contents are of the same open file, so that nobody
 * exchanges it in between. Links are followed: what counts is the file that holds the secret.
 */
export async function readSecretFile(path: string): Promise<SecretFile> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait for a writer for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) return { kind: "unreadable", reason: "is not a file" };
    if ((stats.mode & othersMask) !== 0) return { kind: "exposed", mode: formatMode(stats.mode) };
    if (stats.size > secretBytesMax) return { kind: "unreadable", reason: "is far too large" };
    return { kind: "read", text: (await file.readFile("utf8")).trim() };
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    return code === "ENOENT"
      ? { kind: "missing" }
      : { kind: "unreadable", reason: `cannot be read (${code})` };
  }
}

/** `0644`: a file's mode as chmod takes it. */
export function formatMode(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, "0");
}

/** `ENOENT` and the like; undefined where an error is none of the operating system's. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
