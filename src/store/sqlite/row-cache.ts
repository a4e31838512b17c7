import type { AccessId } from "../../core/ids.ts";
import { formatKey, type RowKey, type StoredRow } from "../../core/row.ts";

/** So many rows are kept at most, and none with a larger body: some 4 MB in all. */
const rowsMax = 1_000;
const bodyBytesMax = 4_096;

/**
 * Rows of vaults and accesses that were read lately: every request asks for its own. One process owns the database, so a row
 * stays true until a transaction changes it; the transaction says so when it is committed.
 */
export class RowCache {
  /** By formatKey, the one that was used last at the end. */
  readonly #rows = new Map<string, StoredRow>();
  /** Of accesses that were asked for by their id alone, under which name their row is kept. */
  readonly #names = new Map<AccessId, string>();

  /** A row of any kind: from memory where it is kept there, and otherwise as `read` finds it. */
  row(key: RowKey, read: () => StoredRow | undefined): StoredRow | undefined {
    return this.known(key) ?? this.#keep(read());
  }

  /** A row as it is kept here; undefined where it is not. */
  known(key: RowKey): StoredRow | undefined {
    return isKept(key) ? this.#use(formatKey(key)) : undefined;
  }

  /** The row of an access by its id alone. */
  access(accessId: AccessId, read: () => StoredRow | undefined): StoredRow | undefined {
    const name = this.#names.get(accessId);
    const known = name === undefined ? undefined : this.#use(name);
    if (known) return known;
    const row = this.#keep(read());
    if (row) this.#names.set(accessId, formatKey(row.key));
    return row;
  }

  /** A row was changed, or removed. It is read anew when it is asked for. */
  changed(key: RowKey): void {
    this.#rows.delete(formatKey(key));
    // Another vault's access may have the same id, and come first now.
    if (key.kind === "access") this.#names.delete(key.accessId);
  }

  /** Forgets rows that bear a mark: it was, or may have been, cleared. */
  forgetMarks(): void {
    for (const row of this.#rows.values()) if (row.dirty) this.changed(row.key);
  }

  clear(): void {
    this.#rows.clear();
    this.#names.clear();
  }

  #use(name: string): StoredRow | undefined {
    const row = this.#rows.get(name);
    if (row === undefined) return undefined;
    this.#rows.delete(name);
    this.#rows.set(name, row);
    return row;
  }

  #keep(row: StoredRow | undefined): StoredRow | undefined {
    if (row === undefined || !isKept(row.key) || (row.body?.length ?? 0) > bodyBytesMax) return row;
    this.#rows.set(formatKey(row.key), row);
    const [oldest] = this.#rows.values();
    if (this.#rows.size > rowsMax && oldest) this.changed(oldest.key);
    return row;
  }
}

function isKept({ kind }: RowKey): boolean {
  return kind === "vault" || kind === "access";
}
