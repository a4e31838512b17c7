import { readFile } from "node:fs/promises";
import { readSecretFile } from "../ops/config/secret-files.ts";
import { CommandRefusal, usageRefusal } from "./report.ts";

/** Reads a file that the person named, or standard input for `-`. What cannot be read is a mistake of usage. */
async function readInput(path: string, bytesMax: number): Promise<Uint8Array> {
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
  return oneWord(await readOwnFile(path, "the token"), path);
}

/** Far above what a site takes for a passphrase. */
const passphraseBytesMax = 16 * 1024;

/**
 * Reads a passphrase, without the spaces around it, from a file that nobody but its owner may read, or standard input for `-`.
 * @throws Refusal `file_exposed`, `usage`
 */
export async function readPassphraseFile(path: string): Promise<string> {
  const isInput = path === "-";
  const text = await (isInput
    ? readTextInput(path, passphraseBytesMax)
    : readOwnFile(path, "the passphrase"));
  const passphrase = text.trim();
  if (passphrase === "" || passphrase.includes("\n")) {
    throw usageRefusal(`${nameInput(path)} does not hold one passphrase`, "it is one line");
  }
  return passphrase;
}

async function readOwnFile(path: string, what: string): Promise<string> {
  const file = await readSecretFile(path);
  switch (file.kind) {
    case "missing":
      throw usageRefusal(`${path}: there is no such file`, `name the file that holds ${what}`);
    case "exposed":
      throw new CommandRefusal(
        "file_exposed",
        `${path} can be read by others (mode ${file.mode})`,
        `chmod 600 ${path}`,
      );
    case "unreadable":
      throw usageRefusal(`${path} ${file.reason}`, `name the file that holds ${what}`);
    case "read":
      return file.text;
  }
}

/** A token as it can stand in a header: one word of ASCII. */
export function oneWord(text: string, source: string): string {
  const token = text.trim();
  if (!/^[\x21-\x7e]+$/.test(token))
    throw usageRefusal(`${source} does not hold one token`, "it is the token alone");
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
