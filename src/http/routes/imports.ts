import { importEntries, type NewEntry } from "../../core/entry-writes.ts";
import { Refusal } from "../../core/errors.ts";
import { type EntryId, newUuidV7 } from "../../core/ids.ts";
import { comparePositions } from "../../core/position.ts";
import type { RowKey, StoredRow } from "../../core/row.ts";
import type { ImportAnswer } from "../../protocol/answers.ts";
import type { AccessPrincipal, Call, Handlers, HttpContext, WriteAnswer } from "../call.ts";
import type { ImportedEntry } from "../import-entries.ts";
import { ImportReader } from "../import-reader.ts";

/** Small steps of an import between two turns of the event loop. */
const stepsPerTurn = 500;

export function importRoutes(context: HttpContext): Pick<Handlers, "importEntries"> {
  const reader = new ImportReader(context.clock);
  return { importEntries: (call) => run(context, reader, call) };
}

async function run(
  context: HttpContext,
  reader: ImportReader,
  { principal: { vaultId }, body }: Call<AccessPrincipal>,
): Promise<WriteAnswer> {
  if (!(body instanceof Uint8Array)) throw new Refusal("malformed_json", "The body is empty.");
  const entries = await withIds(context, await reader.read(body));
  const write = importEntries(vaultId, entries);
  const changed = await context.store.write(write);
  const kept = entries.length - changed.length;
  const row = kept === 0 ? changed.at(-1) : await newestOf(context, write.keys.slice(1));
  if (row === undefined) throw new Error("an import has left no row");
  const answer: Omit<ImportAnswer, "replication"> = {
    created: changed.length,
    kept,
    entry_ids: entries.map(({ entryId }) => entryId),
  };
  const isChanged = changed.length > 0;
  return { status: isChanged ? 201 : 200, body: answer, row, isChanged };
}

async function withIds(
  { clock, random }: HttpContext,
  imported: readonly ImportedEntry[],
): Promise<readonly NewEntry[]> {
  const now = clock.now();
  const entries: NewEntry[] = [];
  for (const { entryId, body } of imported) {
    entries.push({ entryId: entryId ?? (newUuidV7(now, random) as EntryId), body });
    if (entries.length % stepsPerTurn === 0) await clock.turn();
  }
  return entries;
}

/** The row of the highest position: entries that were there already may stand anywhere. */
async function newestOf(
  { store, clock }: HttpContext,
  keys: readonly RowKey[],
): Promise<StoredRow | undefined> {
  let newest: StoredRow | undefined;
  for (const [index, key] of keys.entries()) {
    const row = await store.row(key);
    if (row && (!newest || comparePositions(row.position, newest.position) > 0)) newest = row;
    if (index % stepsPerTurn === stepsPerTurn - 1) await clock.turn();
  }
  return newest;
}
