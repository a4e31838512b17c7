import { formatPosition } from "../core/position.ts";
import { type PushedRow, wireKeyOf } from "../core/push.ts";
import type { Row } from "../core/row.ts";
import { toBase64, toHex } from "./wire-fields.ts";

/**
 * The rows of a push as the UTF-8 of JSON between a list's brackets: what `encodeRow` makes, member by member in the same order. It is
 * written straight into one buffer, because a backlog is nothing but this: JSON.stringify, and the text that it makes, take
 * ten times as long.
 */
export function encodeRowsText(rows: readonly PushedRow[]): Uint8Array {
  const parts = rows.map(partsOf);
  const writer = new TextWriter(parts.reduce((bytes, part) => bytes + roomFor(part), 0));
  for (const [index, { head, body }] of parts.entries()) {
    if (index > 0) writer.ascii(",");
    writer.text(head);
    if (body) {
      writer.ascii(',"body":"');
      writer.ascii(toBase64(body));
      writer.ascii('"}');
    }
  }
  return writer.written();
}

/** `head`: everything before the body, or the whole of a row without one. */
type Parts = { readonly head: string; readonly body: Uint8Array | null };

function partsOf(pushed: PushedRow): Parts {
  if (pushed.kind === "unreadable") return { head: JSON.stringify(pushed.key), body: null };
  const { row } = pushed;
  return { head: headOf(row), body: row.body };
}

function headOf({ key, position, hash, body }: Row): string {
  const { kind, key: ids } = wireKeyOf(key);
  const at = `"position":"${formatPosition(position)}","deleted":${body === null},"hash":"${toHex(hash)}"`;
  return `{"kind":"${kind}","key":${JSON.stringify(ids)},${at}${body === null ? ',"body":null}' : ""}`;
}

/** The most bytes of a UTF-16 code unit in UTF-8. */
const unitBytesMax = 3;
const separators = ',,"body":""}'.length;

function roomFor({ head, body }: Parts): number {
  const base64 = body === null ? 0 : Math.ceil(body.length / 3) * 4;
  return head.length * unitBytesMax + base64 + separators;
}

class TextWriter {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafe(bytes);
  }

  text(text: string): void {
    this.#at += this.#buffer.write(text, this.#at, "utf8");
  }

  ascii(text: string): void {
    this.#at += this.#buffer.write(text, this.#at, "latin1");
  }

  written(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }
}
