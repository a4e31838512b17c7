import { readFile, stat } from "node:fs/promises";
import { CommandRefusal, usageRefusal } from "./report.ts";

/** Reads a file that the person named, or standard input for `-`. What cannot be read is a mistake of usage. */
export async function readInput(path: string, bytesMax: number): Promise<Uint8Array> {
  const bytes = path === "-" ? await readStandardInput(bytesMax) : await readNamed(path);
  if (bytes.length > bytesMax) throw tooLarge(path, bytesMax);
  return bytes;
}

/** As `readInput`, as UTF-8 text without a byte order mark. */
export async function readTextInput(path: string, bytesMax: number): Promise<string> {
  const bytes = await readInput(path, bytesMax);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw usageRefusal(`${nameInput(path)} is not UTF-8 text`, "save it as UTF-8");
  }
}

/**
 * Reads a token from a file that nobody but its owner may read.
 * @throws Refusal `file_exposed` where others may, `usage` where there is no such file or no token in it
 */
export async function readTokenFile(path: string): Promise<string> {
  const status = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (!status.isFile()) throw usageRefusal(`${path} is not a file`, "name the file that holds the token");
  if ((status.mode & 0o077) !== 0) {
    const mode = (status.mode & 0o777).toString(8).padStart(4, "0");
    throw new CommandRefusal("file_exposed", `${path} can be read by others (mode ${mode})`, `chmod 600 ${path}`);
  }
  const token = (await readTextInput(path, 4096)).trim();
  if (token === "" || /\s/.test(token)) {
    throw usageRefusal(`${path} does not hold one token`, "the file holds the token alone");
  }
  return token;
}

export function nameInput(path: string): string {
  return path === "-" ? "standard input" : path;
}

/** The refusal for a file that cannot be read, with the system's reason in words. */
export function unreadable(path: string, error: unknown): CommandRefusal {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = reasons[code] ?? `cannot be read (${code || "unknown reason"})`;
  return usageRefusal(`${path}: ${reason}`, "name a file that can be read");
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "no permission to read it",
  EISDIR: "it is a folder",
};

async function readNamed(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function readStandardInput(bytesMax: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > bytesMax) throw tooLarge("-", bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(path: string, bytesMax: number): CommandRefusal {
  return usageRefusal(`${nameInput(path)} is larger than ${bytesMax} bytes`, "name the right file");
}
