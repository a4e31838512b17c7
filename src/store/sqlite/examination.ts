import Sqlite from "better-sqlite3";
import { formatPosition } from "../../core/position.ts";
import type { Role } from "../../core/push.ts";
import type { Fence } from "../../core/store/site.ts";
import { Connection } from "./connection.ts";
import { refusalOf } from "./failures.ts";
import { checkFile } from "./integrity.ts";
import { migrations, newestVersion, refuseNewer, schemaVersion } from "./migrations.ts";
import { readSite } from "./site-record.ts";

export type Examination = {
  readonly site: string;
  readonly role: Role;
  readonly fenced: Fence | null;
  /** The head, as `1:52`. */
  readonly position: string;
  /** Whether the next start brings the schema up to date. */
  readonly isOlder: boolean;
  /** What SQLite's full check found, at most 20 lines; empty where the database is whole. */
  readonly damage: readonly string[];
};

const damageLinesMax = 20;

/**
 * Reads every page of a site's database and changes none, also while the site works on it. Takes as long as the database is
 * large, and blocks: for a process of its own.
 * @throws Refusal `data_missing`, `database_corrupt`, `database_newer`, `storage_failed`
 */
export function examineDatabase(path: string): Examination {
  checkFile(path);
  try {
    using database = openReadonly(path);
    refuseNewer(database.connection, migrations);
    const found = database.connection.pragma(`integrity_check(${damageLinesMax})`) as {
      integrity_check: string;
    }[];
    const lines = found.map(({ integrity_check }) => integrity_check);
    const { site, role, fenced, head } = readSite(new Connection(database.connection));
    const isOlder = schemaVersion(database.connection) < newestVersion(migrations);
    const position = formatPosition(head.position);
    return {
      site,
      role,
      fenced,
      position,
      isOlder,
      damage: lines.length === 1 && lines[0] === "ok" ? [] : lines,
    };
  } catch (error) {
    throw refusalOf(error);
  }
}

function openReadonly(path: string): Disposable & { readonly connection: Sqlite.Database } {
  const connection = new Sqlite(path, { readonly: true, fileMustExist: true });
  return { connection, [Symbol.dispose]: () => connection.close() };
}
