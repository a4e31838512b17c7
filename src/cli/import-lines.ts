import { CommandRefusal } from "./report.ts";

/** Consecutive lines that fit one call. `text` is the call's body: each line's JSON as it stood in the file. */
export type ImportGroup = {
  readonly text: string;
  /** The line of each entry, counted from 1; lines that are blank have none. */
  readonly lineNumbers: readonly number[];
};

export type GroupLimit = { readonly bytes: number; readonly entries: number };

/** An entry may have 256 KiB, and JSON may spell every byte of it in six. */
const lineBytesMax = 2 * 1024 * 1024;
const frameBytes = '{"entries":[]}'.length;

/** What is wrong with a line. Nothing of its group was sent. */
export class LineRefusal extends CommandRefusal {
  readonly lineNumber: number;
  /** The first line that was not imported. */
  readonly groupStart: number;

  constructor(lineNumber: number, groupStart: number, detail: string) {
    super("invalid_request", `line ${lineNumber}: ${detail}`, "correct it");
    this.lineNumber = lineNumber;
    this.groupStart = groupStart;
  }
}

/**
 * Cuts JSON lines into groups as they arrive, holding one group in memory and no more. Lines before `firstLine` are skipped
 * unseen.
 * @throws LineRefusal at a line that is no JSON object
 */
export async function* groupLines(
  chunks: AsyncIterable<Uint8Array>,
  limit: GroupLimit,
  firstLine = 1,
): AsyncGenerator<ImportGroup> {
  let lines: string[] = [];
  let lineNumbers: number[] = [];
  let bytes = frameBytes;
  for await (const { number, raw } of splitLines(chunks)) {
    if (number < firstLine) continue;
    const line = readLine(raw, number, lineNumbers[0] ?? number);
    if (line === "") continue;
    const lineBytes = Buffer.byteLength(line) + 1;
    if (bytes + lineBytes > limit.bytes || lines.length === limit.entries) {
      yield { text: `{"entries":[${lines.join(",")}]}`, lineNumbers };
      [lines, lineNumbers, bytes] = [[], [], frameBytes];
    }
    lines.push(line);
    lineNumbers.push(number);
    bytes += lineBytes;
  }
  if (lines.length > 0) yield { text: `{"entries":[${lines.join(",")}]}`, lineNumbers };
}

/** `raw` null: longer than any entry can be; nothing follows it. */
type RawLine = { readonly number: number; readonly raw: Buffer | null };

const lineEnd = 0x0a;

async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<RawLine> {
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let number = 1;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(lineEnd); end !== -1; end = chunk.indexOf(lineEnd, start)) {
      yield { number, raw: Buffer.concat([...parts, chunk.subarray(start, end)]) };
      [parts, partBytes, start] = [[], 0, end + 1];
      number += 1;
    }
    parts.push(chunk.subarray(start));
    partBytes += chunk.length - start;
    if (partBytes > lineBytesMax) return yield { number, raw: null };
  }
  if (partBytes > 0) yield { number, raw: Buffer.concat(parts) };
}

/** The line's JSON, or "" for a blank one. Never repeats what the line holds. */
function readLine(raw: Buffer | null, number: number, groupStart: number): string {
  if (raw === null || raw.length > lineBytesMax)
    throw new LineRefusal(number, groupStart, "it is too long for an entry");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(raw).trim();
  } catch {
    throw new LineRefusal(number, groupStart, "it is not UTF-8");
  }
  if (text === "") return "";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new LineRefusal(number, groupStart, "it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new LineRefusal(number, groupStart, "it is not a JSON object");
  }
  return text;
}
