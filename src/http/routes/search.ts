import { holdsWords, searchWords } from "../../core/entry-search.ts";
import { check } from "../../protocol/check.ts";
import { entrySearchSchema } from "../../protocol/entry-requests.ts";
import type { Handlers, HttpContext } from "../call.ts";
import { withOpened } from "../commit.ts";
import { readPage } from "../entry-page.ts";
import { pageAnswer } from "./entries.ts";

export function searchRoutes(context: HttpContext): Pick<Handlers, "searchEntries"> {
  const { store, clock } = context;
  return {
    searchEntries: async ({ principal, body }) => {
      const { query, type, tag, favourite, trash, cursor, limit } = check(entrySearchSchema, body ?? {});
      const words = searchWords(query);
      const filter = {
        type,
        tag,
        favourite,
        isTrash: trash,
        matches: words.length === 0 ? undefined : holdsWords(words),
      };
      const page = await withOpened(principal.vault, ({ seal }) =>
        readPage(store, clock, { seal, before: cursor, limit, filter }),
      );
      return { status: 200, body: pageAnswer(context, principal, page) };
    },
  };
}
