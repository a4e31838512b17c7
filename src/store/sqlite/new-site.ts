import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import Sqlite from "better-sqlite3";
import { Refusal } from "../../core/errors.ts";
import type { Epoch, Promotion } from "../../core/epoch.ts";
import { newUuidV4, type RealmId, type SiteName } from "../../core/ids.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { origin } from "../../core/position.ts";
import type { Role } from "../../core/push.ts";
import type { Site } from "../../core/store/site.ts";
import { Connection } from "./connection.ts";
import { refusalOf } from "./failures.ts";
import { recordPoint } from "./history.ts";
import { type Migration, migrate, migrations } from "./migrations.ts";
import { insertSite, writeTimeline } from "./site-record.ts";
import { insertBuckets } from "./stored-buckets.ts";

export type NewSite = {
  readonly site: SiteName;
  readonly role: Role;
  /** A primary's realm; a new one where none is named. A backup takes over that of the primary that fills it. */
  readonly realm?: RealmId;
  readonly clock: Clock;
  readonly random: Random;
  /** All of this program's unless a test names others. */
  readonly migrations?: readonly Migration[];
};

/**
 * Creates the database of a new site, whole or not at all: a crash leaves no half of one behind.
 * @throws Refusal `data_exists` where the path, or a log that SQLite would take for its, is there
 */
export function initialiseSite(path: string, site: NewSite): void {
  for (const found of [path, `${path}-wal`, `${path}-journal`]) {
    if (existsSync(found)) throw new Refusal("data_exists", `${found} exists`);
  }
  const folder = dirname(path);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    publish(siteImage(site), path);
    syncFolder(folder);
  } catch (error) {
    throw isExists(error) ? new Refusal("data_exists", `${path} exists`) : refusalOf(error);
  }
}

/** The database of a new site as the bytes of a file: what a memory store is opened on. */
export function siteImage(newSite: NewSite): Buffer {
  const database = new Sqlite(":memory:");
  try {
    migrate(database, newSite.migrations ?? migrations, newSite.clock.now());
    const connection = new Connection(database);
    const { record, timeline } = firstState(newSite);
    insertSite(connection, record);
    insertBuckets(connection);
    // A primary that has written nothing yet may be named its own first point by a backup that it has pushed to.
    if (record.role === "primary") recordPoint(connection, record.head, true);
    writeTimeline(connection, timeline);
    return database.serialize();
  } finally {
    database.close();
  }
}

/** A backup begins with nothing, not even a realm; a primary with the first epoch of its own realm. */
function firstState({ site, role, realm, random }: NewSite): {
  record: Site;
  timeline: readonly Promotion[];
} {
  const none = { site, role, fenced: null, primary: null, verified: null, isComplete: true, grant: null };
  if (role === "backup") {
    const epoch: Epoch = { number: 0, id: "" };
    return { record: { ...none, realm: null, epoch, epochSeen: epoch, head: origin }, timeline: [] };
  }
  const epoch: Epoch = { number: 1, id: newUuidV4(random) };
  const head = { position: { epoch: 1, seq: 0 }, chain: origin.chain };
  return {
    record: { ...none, realm: realm ?? (newUuidV4(random) as RealmId), epoch, epochSeen: epoch, head },
    timeline: [{ epoch, site, from: origin }],
  };
}

/** The link fails where the path exists by now, and makes the whole file appear at once. */
function publish(image: Buffer, path: string): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  try {
    writeFileSync(draft, image, { mode: 0o600, flag: "wx", flush: true });
    linkSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
}

function syncFolder(folder: string): void {
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function isExists(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EEXIST";
}
