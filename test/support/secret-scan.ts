import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** Looks for secrets in files and texts, in every form in which a program might have left them. */

/** A word of the tests' own, in whatever is secret and is chosen by them. Of letters that base32 has too. */
export const plantedWord = "quillonzabra";

type Needle = { readonly of: string; readonly form: string; readonly bytes: Buffer };

/** One secret that was found. */
export type Finding = { readonly of: string; readonly form: string; readonly where: string };

export class SecretScan {
  readonly #needles = new Map<string, Needle>();

  constructor() {
    this.addText("what the test has planted", plantedWord);
    this.addText("what the test has planted", plantedWord.toUpperCase());
  }

  /** How many forms of secrets are looked for. */
  get size(): number {
    return this.#needles.size;
  }

  /** A text, in every spelling. */
  addText(of: string, text: string): void {
    if (text.length < 8) throw new Error(`${of} is too short to be told from anything else`);
    const json = JSON.stringify(text).slice(1, -1);
    const ascii = json.replaceAll(/[^\x20-\x7e]/g, (unit) => {
      return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
    });
    for (const [form, spelling] of Object.entries({ text, json, ascii, url: encodeURIComponent(text) })) {
      this.#add(of, form, Buffer.from(spelling));
    }
    this.#add(of, "UTF-16LE", Buffer.from(text, "utf16le"));
    this.#add(of, "UTF-16BE", Buffer.from(text, "utf16le").swap16());
    this.addBytes(of, Buffer.from(text));
  }

  /** Bytes, as they are and in every encoding. */
  addBytes(of: string, bytes: Buffer): void {
    this.#add(of, "bytes", bytes);
    this.#add(of, "hex", Buffer.from(bytes.toString("hex")));
    this.#add(of, "HEX", Buffer.from(bytes.toString("hex").toUpperCase()));
    for (const phase of [0, 1, 2]) {
      const shifted = Buffer.concat([Buffer.alloc(phase), bytes]);
      // The first and the last group also hold bits of what stands beside it.
      const whole = shifted.subarray(0, shifted.length - (shifted.length % 3));
      for (const encoding of ["base64", "base64url"] as const) {
        const text = whole.toString(encoding).slice(phase === 0 ? 0 : 4);
        this.#add(of, encoding, Buffer.from(text));
      }
    }
  }

  /** A token of any kind: its id is public, and everything behind that is the secret. */
  addToken(of: string, token: string): void {
    const secret = /^dm[vosl]_[0-9a-f]{32}_([\w-]{43})[\w-]{6}$/.exec(token)?.[1];
    if (secret === undefined) throw new Error(`${of} is no token`);
    this.addText(of, secret);
    this.addBytes(of, Buffer.from(secret, "base64url"));
  }

  /** What of the secrets stands in a text or in the bytes of a file. */
  find(where: string, content: string | Buffer): readonly Finding[] {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    return [...this.#needles.values()]
      .filter((needle) => bytes.includes(needle.bytes))
      .map(({ of, form }) => ({ of, form, where }));
  }

  #add(of: string, form: string, bytes: Buffer): void {
    const key = bytes.toString("latin1");
    if (!this.#needles.has(key)) this.#needles.set(key, { of, form, bytes });
  }
}

/** Every file below a folder by its path in it, with what is in it; sockets hold nothing. */
export function filesBelow(folder: string): ReadonlyMap<string, Buffer> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((path) => [relative(folder, path), readFileSync(path)]));
}
