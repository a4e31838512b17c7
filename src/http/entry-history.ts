import type { EntryAddress } from "../core/entry-writes.ts";
import { parseVersionId } from "../core/ids.ts";
import type { StoredRow } from "../core/row.ts";
import type { Reads } from "../core/store/store.ts";

type Store = Reads<"rows">;

/** Read at once: an entry has about twenty versions, and more only where fewer are to be kept than before. */
const pageRows = 50;

/** The numbers of an entry's earlier versions, newest first. */
export async function readHistory(
  store: Store,
  { vaultId, entryId }: EntryAddress,
): Promise<readonly number[]> {
  const versions: number[] = [];
  for (;;) {
    const rows = await store.read((r) => r.rows.versions(vaultId, entryId, versions.at(-1), pageRows));
    versions.push(...rows.map(versionOfRow));
    if (rows.length < pageRows) return versions;
  }
}

/** Those of them that are older than `version`: in the ordinary case one, or none. */
export async function readVersionsBelow(
  store: Store,
  { vaultId, entryId }: EntryAddress,
  version: number,
): Promise<readonly number[]> {
  if (version <= 1) return [];
  return (await store.read((r) => r.rows.versions(vaultId, entryId, version, pageRows))).map(versionOfRow);
}

/** The version that a row of kind `version` holds. */
export function versionOfRow({ key }: StoredRow): number {
  if (key.kind !== "version") throw new Error("a list of versions holds another row");
  return parseVersionId(key.versionId).version;
}
