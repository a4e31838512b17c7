import type { EntryContent } from "../../core/entry.ts";
import {
  changeEntry,
  createEntry,
  type EntryEdit,
  encodeNewEntry,
  entryKey,
  purgeEntry,
  requireEntryRow,
  restoreEntry,
  trashEntry,
} from "../../core/entry-writes.ts";
import { Refusal } from "../../core/errors.ts";
import { type EntryId, isUuidV7, newUuidV7 } from "../../core/ids.ts";
import { mergePatch } from "../../core/merge-patch.ts";
import type { Write } from "../../core/store.ts";
import type { EntryListAnswer, PurgedEntryAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import {
  entryContentSchema,
  entryListQuerySchema,
  entryPatchSchema,
  newEntrySchema,
  purgeQuerySchema,
} from "../../protocol/entry-requests.ts";
import type { AccessPrincipal, Answer, Call, Handlers, HttpContext, WriteAnswer } from "../call.ts";
import { commitRow } from "../commit.ts";
import { readPage } from "../entry-page.ts";
import { entryAnswer } from "../row-answers.ts";

type EntryRoutes = Pick<
  Handlers,
  "createEntry" | "listEntries" | "getEntry" | "putEntry" | "patchEntry" | "deleteEntry" | "restoreEntry"
>;
type EntryCall = Call<AccessPrincipal>;

export function entryRoutes(context: HttpContext): EntryRoutes {
  return {
    createEntry: (call) => create(context, call),
    listEntries: (call) => list(context, call),
    getEntry: (call) => get(context, call),
    putEntry: (call) => {
      const content = check(entryContentSchema, call.body);
      return change(context, call, () => content);
    },
    patchEntry: (call) => {
      check(entryPatchSchema, call.body);
      return change(context, call, (content) => check(entryContentSchema, mergePatch(content, call.body)));
    },
    deleteEntry: (call) => {
      const { purge } = check(purgeQuerySchema, call.query);
      return purge ? remove(context, call) : answerChanged(context, trashEntry(editOf(context, call)));
    },
    restoreEntry: (call) => answerChanged(context, restoreEntry(editOf(context, call))),
  };
}

async function create({ store, clock, random }: HttpContext, call: EntryCall): Promise<WriteAnswer> {
  const { entry_id: chosen, ...content } = check(newEntrySchema, call.body);
  const { vaultId } = call.principal;
  const now = clock.now();
  const entryId = chosen ?? (newUuidV7(now, random) as EntryId);
  const committed = await commitRow(
    store,
    createEntry(vaultId, { entryId, body: encodeNewEntry(content, now) }),
  );
  const row = requireEntryRow(committed.row);
  const location = `/api/vaults/${vaultId}/entries/${entryId}`;
  const { isChanged } = committed;
  return { status: isChanged ? 201 : 200, body: entryAnswer(row), tagged: row, row, isChanged, location };
}

async function list({ store, clock }: HttpContext, call: EntryCall): Promise<Answer> {
  const query = check(entryListQuerySchema, call.query);
  const filter = { type: query.type, tag: query.tag, isTrash: query.trash };
  const { vaultId } = call.principal;
  const page = await readPage(store, clock, { vaultId, before: query.cursor, limit: query.limit, filter });
  const body: EntryListAnswer = { entries: page.rows.map(entryAnswer), next_cursor: page.next };
  return { status: 200, body };
}

async function get({ store }: HttpContext, call: EntryCall): Promise<Answer> {
  const row = requireEntryRow(await store.row(entryKey(addressOf(call))));
  return { status: 200, body: entryAnswer(row), tagged: row };
}

function change(
  context: HttpContext,
  call: EntryCall,
  decide: (content: EntryContent) => EntryContent,
): Promise<WriteAnswer> {
  return answerChanged(context, changeEntry(editOf(context, call), decide));
}

async function answerChanged({ store }: HttpContext, write: Write): Promise<WriteAnswer> {
  const committed = await commitRow(store, write);
  const row = requireEntryRow(committed.row);
  return { status: 200, body: entryAnswer(row), tagged: row, row, isChanged: committed.isChanged };
}

async function remove({ store }: HttpContext, call: EntryCall): Promise<WriteAnswer> {
  const address = addressOf(call);
  const { row } = await commitRow(store, purgeEntry({ ...address, match: call.match }));
  if (row === undefined) throw new Error("a purge has left no tombstone");
  const body: Omit<PurgedEntryAnswer, "replication"> = { entry_id: address.entryId, purged: true };
  return { status: 200, body, row, isChanged: true };
}

function editOf({ clock }: HttpContext, call: EntryCall): EntryEdit {
  return { ...addressOf(call), match: call.match, now: clock.now() };
}

/** Any text that is no id of an entry names an entry that there is not. */
function addressOf({ principal, params }: EntryCall): Pick<EntryEdit, "vaultId" | "entryId"> {
  const entryId = params.entryId ?? "";
  if (!isUuidV7(entryId)) throw new Refusal("entry_unknown");
  return { vaultId: principal.vaultId, entryId: entryId as EntryId };
}
