import { type EntryAddress, entryKey, requireEntryRow } from "../core/entry-writes.ts";
import type { EntrySeal } from "../core/entry-seal.ts";
import { type ErrorCode, Refusal } from "../core/errors.ts";
import type { EntryId } from "../core/ids.ts";
import type { LiveRow } from "../core/row.ts";
import type { Reads } from "../core/store/store.ts";
import { requireKey, vaultKey } from "../core/vault.ts";
import type { HttpContext } from "./call.ts";
import type { OpenedRow } from "./row-answers.ts";

type Site = Pick<HttpContext, "store" | "edition">;

/**
 * The entry of an id, opened. One that stands at an older version than its own history was put back by somebody who can write
 * the disk; equal ones may be: a site that was promoted in the middle of an edit holds a state twice.
 * @throws Refusal `entry_unknown`, `sealed_older`, and what opening it throws; the operator is told of it
 */
export async function openEntry(site: Site, seal: EntrySeal, entryId: EntryId): Promise<OpenedRow> {
  const address = { vaultId: seal.vaultId, entryId };
  const row = requireEntryRow(await site.store.read((r) => r.rows.row(entryKey(address))));
  const opened = await openRow(site, seal, address, row);
  if (opened.entry.version < (await site.store.read((r) => r.rows.newestVersion(seal.vaultId, entryId)))) {
    tellUnreadable(site, address, "sealed_older");
    throw new Refusal("sealed_older");
  }
  return opened;
}

/**
 * A row of an entry or version, opened.
 * @throws Refusal what opening it throws, and the operator is told of it; `write_raced` where it was sealed anew since the vault was
 *   opened
 */
export async function openRow(
  site: Site,
  seal: EntrySeal,
  address: EntryAddress,
  row: LiveRow,
): Promise<OpenedRow> {
  try {
    return { row, entry: seal.open(address.entryId, row.body) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await refuseStale(site.store, seal, error.code);
    tellUnreadable(site, address, error.code);
    throw error;
  }
}

/**
 * To be asked before a body is called unreadable: one under a key that is not known may have been sealed anew since.
 * @throws Refusal `write_raced` where the vault's key is another by now than the one that it was opened with
 */
export async function refuseStale(store: Reads<"rows">, seal: EntrySeal, code: ErrorCode): Promise<void> {
  if (code !== "sealed_key_unknown") return;
  requireKey(await store.read((r) => r.rows.row(vaultKey(seal.vaultId))), seal.keyId);
}

/** Tells the operator that an entry does not open: names it, and nothing of what it holds. */
export function tellUnreadable(
  { edition }: Pick<Site, "edition">,
  { vaultId, entryId }: EntryAddress,
  code: ErrorCode,
): void {
  const details = { vault_id: vaultId, entry_id: entryId, code };
  edition.alertOperator("entry_unreadable", "A sealed entry does not open: its body was changed", details);
}
