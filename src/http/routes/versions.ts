import { type EntryAddress, restoreVersion, versionKey } from "../../core/entry-writes.ts";
import type { EntrySeal } from "../../core/entry-seal.ts";
import { type ErrorCode, Refusal } from "../../core/errors.ts";
import { raced } from "../../core/resealing.ts";
import { isLive, type LiveRow, type StoredRow } from "../../core/row.ts";
import { readSealedHeader } from "../../core/sealed-header.ts";
import type { VersionListAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import { versionListQuerySchema } from "../../protocol/entry-requests.ts";
import type { Answer, Handlers, HttpContext } from "../call.ts";
import { withOpened } from "../commit.ts";
import { versionOfRow } from "../entry-history.ts";
import { openEntry, openRow, tellUnreadable } from "../entry-opening.ts";
import { entryAnswer, type OpenedRow } from "../row-answers.ts";
import type { OpenVault } from "../vault-opening.ts";
import { addressOf, editEntry, type EntryCall } from "./entries.ts";

type VersionRoutes = Pick<Handlers, "listVersions" | "getVersion" | "restoreVersion">;

export function versionRoutes(context: HttpContext): VersionRoutes {
  return {
    listVersions: (call) => withOpened(call.principal.vault, (open) => list(context, call, open)),
    getVersion: (call) => withOpened(call.principal.vault, (open) => get(context, call, open)),
    restoreVersion: (call) => {
      const version = numberIn(call);
      return editEntry(context, call, (edit) => restoreVersion(edit, version));
    },
  };
}

/** Between two turns of the event loop: a version may be as large as an entry. */
const rowsPerTurn = 10;

async function list(context: HttpContext, call: EntryCall, { seal }: OpenVault): Promise<Answer> {
  const { store, clock } = context;
  const { limit, cursor } = check(versionListQuerySchema, call.query);
  const address = addressOf(call);
  await openEntry(context, seal, address.entryId);
  const rows = await store.read((r) => r.rows.versions(address.vaultId, address.entryId, cursor, limit));
  const versions: OpenedRow[] = [];
  const unreadable: { readonly version: number; readonly code: ErrorCode }[] = [];
  for (const [index, row] of rows.entries()) {
    if (index % rowsPerTurn === rowsPerTurn - 1) await clock.turn();
    const opened = await openOrName(context, seal, address, row);
    if ("code" in opened) unreadable.push(opened);
    else versions.push(opened);
  }
  const last = rows.at(-1);
  const body: VersionListAnswer = {
    versions: versions.map(entryAnswer).map(({ version, title, updated_at, trashed_at }) => ({
      version,
      title,
      updated_at,
      trashed_at,
    })),
    unreadable,
    next_cursor: rows.length < limit || last === undefined ? null : versionOfRow(last),
  };
  return { status: 200, body };
}

async function get(context: HttpContext, call: EntryCall, { seal }: OpenVault): Promise<Answer> {
  const address = addressOf(call);
  const current = await openEntry(context, seal, address.entryId);
  const version = numberIn(call);
  if (current.entry.version === version) {
    return { status: 200, body: entryAnswer(current), tagged: current.row };
  }
  const row = await context.store.read((r) => r.rows.row(versionKey(address, version)));
  if (row === undefined || !isLive(row)) throw new Refusal("version_unknown");
  const opened = await openVersion(context, seal, address, row);
  return { status: 200, body: entryAnswer(opened), tagged: opened.row };
}

/** @throws Refusal what opening it throws; `sealed_swapped` where it holds another version than its row is for */
async function openVersion(
  context: HttpContext,
  seal: EntrySeal,
  address: EntryAddress,
  row: LiveRow,
): Promise<OpenedRow> {
  const version = readSealedHeader(row.body)?.version;
  if (version !== undefined && version !== versionOfRow(row)) {
    tellUnreadable(context, address, "sealed_swapped");
    throw new Refusal("sealed_swapped");
  }
  return await openRow(context, seal, address, row);
}

async function openOrName(
  context: HttpContext,
  seal: EntrySeal,
  address: EntryAddress,
  row: StoredRow,
): Promise<OpenedRow | { readonly version: number; readonly code: ErrorCode }> {
  if (!isLive(row)) throw new Error("a list of versions holds a tombstone");
  try {
    return await openVersion(context, seal, address, row);
  } catch (error) {
    if (error instanceof Refusal && !raced(error)) return { version: versionOfRow(row), code: error.code };
    throw error;
  }
}

function numberIn({ params }: EntryCall): number {
  const text = params.version ?? "";
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new Refusal("version_unknown");
  return Number(text);
}
