import type { EntryContent } from "../../core/entry.ts";
import {
  changeEntry,
  createEntry,
  type EntryEdit,
  entryKey,
  newEntry,
  purgeEntry,
  requireEntryRow,
  restoreEntry,
  trashEntry,
} from "../../core/entry-writes.ts";
import { Refusal } from "../../core/errors.ts";
import { type EntryId, isUuidV7, newUuidV7 } from "../../core/ids.ts";
import { mergePatch } from "../../core/merge-patch.ts";
import type { LiveRow, StoredRow } from "../../core/row.ts";
import { readSealedHeader } from "../../core/sealed-header.ts";
import type { Write } from "../../core/store/rows.ts";
import type { EntryListAnswer, PurgedEntryAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import {
  entryContentSchema,
  entryListQuerySchema,
  entryPatchSchema,
  newEntrySchema,
  purgeQuerySchema,
} from "../../protocol/entry-requests.ts";
import type {
  AccessPrincipal,
  Answer,
  Call,
  Handlers,
  HttpContext,
  WriteAnswer,
  WriteCall,
} from "../call.ts";
import { type Committed, commitOpened, commitRow, withOpened } from "../commit.ts";
import { type Page, readPage } from "../entry-page.ts";
import { readHistory, readVersionsBelow } from "../entry-history.ts";
import { openEntry, tellUnreadable } from "../entry-opening.ts";
import { entryAnswer } from "../row-answers.ts";
import type { OpenVault } from "../vault-opening.ts";

type EntryRoutes = Pick<
  Handlers,
  "createEntry" | "listEntries" | "getEntry" | "putEntry" | "patchEntry" | "deleteEntry" | "restoreEntry"
>;
export type EntryCall = Call<AccessPrincipal>;
export type EntryWriteCall = WriteCall<AccessPrincipal>;

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
      return purge ? remove(context, call) : editEntry(context, call, trashEntry);
    },
    restoreEntry: (call) => editEntry(context, call, restoreEntry),
  };
}

async function create(context: HttpContext, call: EntryWriteCall): Promise<WriteAnswer> {
  const { clock, random } = context;
  const { entry_id: chosen, ...content } = check(newEntrySchema, call.body);
  const { vaultId, vault } = call.principal;
  const now = clock.now();
  const entryId = chosen ?? (newUuidV7(now, random) as EntryId);
  const entry = newEntry(content, now);
  const key = entryKey({ vaultId, entryId });
  const answer = await commitOpened(vault, async ({ seal }, asCaller) => {
    const write = createEntry(seal, { entryId, body: seal.seal(entryId, entry) });
    return changedAnswer(vault.open, await commitRow(context, call.record, asCaller(write), key));
  });
  const location = `/api/vaults/${vaultId}/entries/${entryId}`;
  return { ...answer, status: answer.isChanged ? 201 : 200, location };
}

async function list(context: HttpContext, call: EntryCall): Promise<Answer> {
  const { store, clock } = context;
  const query = check(entryListQuerySchema, call.query);
  const { type, tag, favourite, trash } = query;
  const filter = { type, tag, favourite, isTrash: trash };
  const page = await withOpened(call.principal.vault, ({ seal }) =>
    readPage(store, clock, { seal, before: query.cursor, limit: query.limit, filter }),
  );
  return { status: 200, body: pageAnswer(context, call.principal, page) };
}

export function pageAnswer(context: HttpContext, { vaultId }: AccessPrincipal, page: Page): EntryListAnswer {
  for (const { entryId, code } of page.unreadable) tellUnreadable(context, { vaultId, entryId }, code);
  return {
    entries: page.entries.map(entryAnswer),
    unreadable: page.unreadable.map(({ entryId, code }) => ({ entry_id: entryId, code })),
    next_cursor: page.next,
  };
}

async function get(context: HttpContext, call: EntryCall): Promise<Answer> {
  const { entryId } = addressOf(call);
  const opened = await withOpened(call.principal.vault, ({ seal }) => openEntry(context, seal, entryId));
  return { status: 200, body: entryAnswer(opened), tagged: opened.row };
}

function change(
  context: HttpContext,
  call: EntryWriteCall,
  decide: (content: EntryContent) => EntryContent,
): Promise<WriteAnswer> {
  return editEntry(context, call, (edit) => changeEntry(edit, decide));
}

/** Edits the entry that a call names, and keeps what it was. */
export async function editEntry(
  context: HttpContext,
  call: EntryWriteCall,
  writeOf: (edit: EntryEdit) => Write,
): Promise<WriteAnswer> {
  const { store, clock, keepVersions } = context;
  const address = addressOf(call);
  const key = entryKey(address);
  const { vault } = call.principal;
  return await commitOpened(vault, async (open, asCaller) => {
    const { seal } = open;
    const { row } = await openEntry(context, seal, address.entryId);
    const expiring = await readVersionsBelow(store, address, versionOf(row) + 1 - keepVersions);
    const history = { keepVersions, expiring };
    const edit = { seal, entryId: address.entryId, match: call.match, now: clock.now(), history };
    return changedAnswer(open, await commitRow(context, call.record, asCaller(writeOf(edit)), key));
  });
}

function versionOf(row: LiveRow): number {
  return readSealedHeader(row.body)?.version ?? 0;
}

/** The answer to a change of one entry, opened by the vault that it was sealed with. */
export function changedAnswer({ seal }: OpenVault, { row, last, isChanged }: Committed): WriteAnswer {
  const live = requireEntryRow(row);
  const { entryId } = keyOfEntry(live);
  const entry = seal.open(entryId, live.body);
  return { status: 200, body: entryAnswer({ row: live, entry }), tagged: live, row: last ?? live, isChanged };
}

function keyOfEntry({ key }: StoredRow): Extract<StoredRow["key"], { kind: "entry" }> {
  if (key.kind !== "entry") throw new Error("a change of an entry has left another row");
  return key;
}

/** Purges an entry with its history, and whatever of them the log still holds on this disk. */
async function remove(context: HttpContext, call: EntryWriteCall): Promise<WriteAnswer> {
  const { store } = context;
  const address = addressOf(call);
  const key = entryKey(address);
  const { last } = await commitOpened(call.principal.vault, async (_, asCaller) => {
    const { position } = requireEntryRow(await store.read((r) => r.rows.row(key)));
    const versions = await readHistory(store, address);
    const state = { ...address, match: call.match, position, versions };
    return await commitRow(context, call.record, asCaller(purgeEntry(state)), key);
  });
  if (last === undefined) throw new Error("a purge has left no tombstone");
  const body: Omit<PurgedEntryAnswer, "replication"> = { entry_id: address.entryId, purged: true };
  const finish = () => store.erasure.eraseRemains();
  return { status: 200, body, row: last, isChanged: true, finish };
}

/** Any text that is no id of an entry names an entry that there is not. */
export function addressOf({ principal, params }: EntryCall): Pick<EntryEdit, "entryId"> & {
  readonly vaultId: AccessPrincipal["vaultId"];
} {
  const entryId = params.entryId ?? "";
  if (!isUuidV7(entryId)) throw new Refusal("entry_unknown");
  return { vaultId: principal.vaultId, entryId: entryId as EntryId };
}
