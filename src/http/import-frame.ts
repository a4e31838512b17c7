import type { ErrorCode, Mistake } from "../core/errors.ts";
import type { EntryId } from "../core/ids.ts";
import type { ImportedEntry } from "./import-entries.ts";

/**
 * What the import thread sends back. All bodies lie in one buffer that is handed over instead of copied: rebuilding ten
 * thousand objects would block the receiving thread for as long as reading them would have.
 */
export type ImportFrame =
  | { readonly kind: "read"; readonly bodies: ArrayBuffer; readonly ends: Uint32Array; readonly ids: string }
  | {
      readonly kind: "refused";
      readonly code: ErrorCode;
      readonly detail: string;
      readonly mistakes: readonly Mistake[];
    };

export type ImportJob = { readonly bytes: Uint8Array; readonly now: number };

type ReadFrame = Extract<ImportFrame, { kind: "read" }>;

export function packEntries(entries: readonly ImportedEntry[]): ReadFrame {
  const total = entries.reduce((sum, { body }) => sum + body.length, 0);
  const joined = new Uint8Array(total);
  const ends = new Uint32Array(entries.length);
  let end = 0;
  for (const [index, { body }] of entries.entries()) {
    joined.set(body, end);
    end += body.length;
    ends[index] = end;
  }
  return {
    kind: "read",
    bodies: joined.buffer,
    ends,
    ids: entries.map(({ entryId }) => entryId ?? "").join(),
  };
}

export function unpackEntries({ bodies, ends, ids }: ReadFrame): readonly ImportedEntry[] {
  const names = ids.split(",");
  let start = 0;
  return Array.from(ends, (end, index) => {
    const body = new Uint8Array(bodies, start, end - start);
    start = end;
    const name = names[index];
    return { entryId: name ? (name as EntryId) : undefined, body };
  });
}
