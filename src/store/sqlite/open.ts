import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import { type Connections, openFile, openImage } from "./connection.ts";
import { refusalOf } from "./failures.ts";
import { checkFile, checkOpened } from "./integrity.ts";
import { LogFile } from "./log-file.ts";
import type { Log } from "./flushes.ts";
import { type Migration, migrations, refuseNewer } from "./migrations.ts";
import { readSite } from "./site-record.ts";
import { SqliteStore, type StorePorts } from "./sqlite-store.ts";
import { upgrade, type Upgrade } from "./upgrade.ts";

export type OpenOptions = StorePorts & {
  /** The database file; initialiseSite makes it. */
  readonly path: string;
  /** The site that the database must belong to. */
  readonly expectedSite?: SiteName;
  /** With less room than this on the disk, client writes are refused (`disk_full`); 0 never looks. */
  readonly diskFreeMinBytes?: number;
  /** Called once, where the database can be trusted no more while it is open: its file was replaced, or a flush has failed. */
  readonly onLost?: (why: Refusal) => void;
  /** All of this program's unless a test names others. */
  readonly migrations?: readonly Migration[];
};

export type OpenedStore = {
  readonly store: SqliteStore;
  /** What the opening did to the schema, for the operator to hear of; null where it was up to date. */
  readonly upgrade: Upgrade | null;
};

/**
 * Opens a site's database, having looked whether it is whole, and brings its schema up to date. The caller holds the data
 * folder's lock. Costs the same however much is stored, apart from the check of a file up to 64 MiB.
 * @throws Refusal `data_missing`, `data_of_other_site`, `database_corrupt`, `database_newer`, `disk_full`, `storage_failed`
 */
export function openSqliteStore(options: OpenOptions): OpenedStore {
  const { path, clock, random, hash, audit = {} } = options;
  attempt(() => checkFile(path));
  const connections = attempt(() => openFile(path));
  try {
    const upgraded = attempt(() => prepare(connections, options));
    const checkRoom = roomCheck(dirname(path), options.diskFreeMinBytes ?? 0, options.clock);
    const file = { path, log: new LogFile(path), refuseReplaced: replacementCheck(path) };
    const { onLost } = options;
    const ports = { clock, random, hash, audit, checkRoom, ...(onLost && { onLost }) };
    const store = new SqliteStore({ ...ports, connections, file });
    return { store, upgrade: upgraded };
  } catch (error) {
    connections.reader.close();
    connections.writer.close();
    throw error;
  }
}

export type MemoryOptions = StorePorts & {
  /** The bytes of a database: siteImage makes those of a new site. */
  readonly image: Buffer;
  /** What makes commits durable; every commit is at once where left away. */
  readonly log?: Log;
};

/** Opens a store in memory. */
export function openMemoryStore(options: MemoryOptions): SqliteStore {
  const { image, log, clock, random, hash, audit = {} } = options;
  const ports = { clock, random, hash, audit, checkRoom: () => {} };
  return new SqliteStore({ ...ports, connections: openImage(image), ...(log && { log }) });
}

function prepare({ writer }: Connections, options: OpenOptions): Upgrade | null {
  const { database } = writer;
  const steps = options.migrations ?? migrations;
  database.pragma("wal_checkpoint(TRUNCATE)");
  checkOpened(database, options.path);
  refuseNewer(database, steps);
  const upgraded = upgrade(database, { path: options.path, steps, now: options.clock.now() });
  refuseOtherSite(readSite(writer).site, options);
  return upgraded;
}

/**
 * A folder that is put back under a running site would have it go on writing into a file that nobody finds any more. One look at
 * the path before each transaction notices it.
 */
function replacementCheck(path: string): () => void {
  const { ino } = statSync(path);
  return () => {
    if (statSync(path, { throwIfNoEntry: false })?.ino === ino) return;
    throw new Refusal("data_replaced", `${path} is not the file any more that this site has opened`);
  };
}

function refuseOtherSite(site: SiteName, { path, expectedSite }: OpenOptions): void {
  if (expectedSite === undefined || site === expectedSite) return;
  throw new Refusal("data_of_other_site", `${path} belongs to ${site}, not to ${expectedSite}`);
}

/** For how long room that was found counts as found: nobody fills a hundred megabytes of a small disk in that time. */
const roomKnownMs = 1_000;

function roomCheck(folder: string, diskFreeMinBytes: number, clock: Clock): () => void {
  if (diskFreeMinBytes === 0) return () => {};
  let foundMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.monotonicMs() - foundMs < roomKnownMs) return;
    const { bavail, bsize } = statfsSync(folder);
    if (bavail * bsize < diskFreeMinBytes) throw new Refusal("disk_full");
    foundMs = clock.monotonicMs();
  };
}

function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw refusalOf(error);
  }
}
