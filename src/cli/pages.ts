import { type Fields, objectsIn } from "./fields.ts";
import type { Answer } from "./site-client.ts";

/** How much of a long list is wanted. */
export type PageOptions = { readonly limit: number; readonly all?: boolean; readonly cursor?: string };

/** Where one call begins, and how much it may answer. */
export type PageCall = { readonly limit: number; readonly cursor: string | undefined };

/** The most that a site gives at once. */
const pageItemsMax = 500;

/** Calls for page after page until there is as much as is wanted; gives each body. `next` is null where nothing is left. */
export async function readPages(
  name: string,
  options: PageOptions,
  read: (call: PageCall) => Promise<Answer>,
): Promise<{ readonly bodies: readonly Fields[]; readonly next: string | null }> {
  const bodies: Fields[] = [];
  const limit = options.all === true ? Number.POSITIVE_INFINITY : options.limit;
  let [count, cursor] = [0, options.cursor];
  do {
    const { body } = await read({ limit: Math.min(pageItemsMax, limit - count), cursor });
    bodies.push(body);
    count += objectsIn(body, name).length;
    cursor = cursorIn(body);
  } while (cursor !== undefined && count < limit);
  return { bodies, next: cursor ?? null };
}

function cursorIn({ next_cursor: next }: Fields): string | undefined {
  return typeof next === "string" || typeof next === "number" ? String(next) : undefined;
}
