import { entryKey, importEntries, isSameEntry, type NewEntry } from "../../core/entry-writes.ts";
import { Refusal } from "../../core/errors.ts";
import { type EntryId, newUuidV7 } from "../../core/ids.ts";
import { comparePositions } from "../../core/position.ts";
import { isLive, type RowKey, type StoredRow } from "../../core/row.ts";
import type { ImportAnswer } from "../../protocol/answers.ts";
import type { AccessPrincipal, Handlers, HttpContext, WriteAnswer, WriteCall } from "../call.ts";
import { commitOpened } from "../commit.ts";
import type { ImportedEntry } from "../import-entries.ts";
import { ImportReader } from "../import-reader.ts";
import type { OpenVault } from "../vault-opening.ts";

/** Small steps of an import between two turns of the event loop. */
const stepsPerTurn = 500;
/** Entries sealed between two turns: each takes some ten times as long as a small step. */
const sealedPerTurn = 100;

export function importRoutes(context: HttpContext): Pick<Handlers, "importEntries"> {
  const reader = new ImportReader(context.clock);
  return { importEntries: (call) => run(context, reader, call) };
}

/** An entry of an import under the id that it will have; its body is not sealed yet. */
type IdentifiedEntry = ImportedEntry & { readonly entryId: EntryId; readonly isChosen: boolean };

async function run(
  context: HttpContext,
  reader: ImportReader,
  { principal: { vault }, body, record }: WriteCall<AccessPrincipal>,
): Promise<WriteAnswer> {
  if (!(body instanceof Uint8Array)) throw new Refusal("malformed_json", "The body is empty.");
  const entries = await withIds(context, await reader.read(body));
  try {
    return await commitOpened(vault, async (open, asCaller) => {
      const write = importEntries(open.seal, await sealed(context, open, entries));
      const changed = (await context.commit(record, asCaller(write))).filter(
        ({ key }) => key.kind === "entry",
      );
      return await answerOf(context, entries, { changed, keys: write.keys.slice(1) });
    });
  } finally {
    for (const entry of entries) entry.body.fill(0);
  }
}

async function answerOf(
  context: HttpContext,
  entries: readonly IdentifiedEntry[],
  { changed, keys }: { readonly changed: readonly StoredRow[]; readonly keys: readonly RowKey[] },
): Promise<WriteAnswer> {
  const kept = entries.length - changed.length;
  const row = kept === 0 ? changed.at(-1) : await newestOf(context, keys);
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
): Promise<readonly IdentifiedEntry[]> {
  const now = clock.now();
  const entries: IdentifiedEntry[] = [];
  for (const { entryId: chosen, body } of imported) {
    const entryId = chosen ?? (newUuidV7(now, random) as EntryId);
    entries.push({ entryId, body, isChosen: chosen !== undefined });
    if (entries.length % stepsPerTurn === 0) await clock.turn();
  }
  return entries;
}

/** Seals the entries, and finds out beforehand which of them are there already: the decision may not take so long. */
async function sealed(
  { store, clock }: HttpContext,
  { seal }: OpenVault,
  entries: readonly IdentifiedEntry[],
): Promise<readonly NewEntry[]> {
  const sealedEntries: NewEntry[] = [];
  for (const { entryId, body: encoded, isChosen } of entries) {
    const body = seal.sealEncoded(entryId, 1, encoded);
    const row = isChosen
      ? await store.read((r) => r.rows.row(entryKey({ vaultId: seal.vaultId, entryId })))
      : undefined;
    const isSame = row !== undefined && isLive(row) && isSameEntry(seal, { entryId, body }, row);
    sealedEntries.push({ entryId, body, ...(isSame && { sameAt: row.position }) });
    if (sealedEntries.length % sealedPerTurn === 0) await clock.turn();
  }
  return sealedEntries;
}

/** The row of the highest position: entries that were there already may stand anywhere. */
async function newestOf(
  { store, clock }: HttpContext,
  keys: readonly RowKey[],
): Promise<StoredRow | undefined> {
  let newest: StoredRow | undefined;
  for (const [index, key] of keys.entries()) {
    const row = await store.read((r) => r.rows.row(key));
    if (row && (!newest || comparePositions(row.position, newest.position) > 0)) newest = row;
    if (index % stepsPerTurn === stepsPerTurn - 1) await clock.turn();
  }
  return newest;
}
