import { chmodSync, closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import Sqlite from "better-sqlite3";
import { refuseDamaged } from "./integrity.ts";
import { type Migration, migrate, newestVersion, schemaVersion } from "./migrations.ts";

/** That a schema was brought up to date, and where the database lies as it was before. */
export type Upgrade = { readonly fromVersion: number; readonly toVersion: number; readonly copyPath: string };

export type UpgradeOptions = {
  readonly path: string;
  readonly steps: readonly Migration[];
  readonly now: number;
};

/** Copies the database aside, checks the copy, then runs the steps it lacks. Null where it lacks none. */
export function upgrade(database: Sqlite.Database, { path, steps, now }: UpgradeOptions): Upgrade | null {
  const fromVersion = schemaVersion(database);
  const toVersion = newestVersion(steps);
  if (fromVersion === toVersion) return null;
  const copyPath = `${path}.before-${toVersion}`;
  copyChecked(database, copyPath);
  migrate(database, steps, now);
  return { fromVersion, toVersion, copyPath };
}

/** Under another name until it is whole and checked: what bears the final name can be trusted. */
function copyChecked(database: Sqlite.Database, copyPath: string): void {
  const draft = `${copyPath}.new`;
  rmSync(draft, { force: true });
  const file = openSync(draft, "wx", 0o600);
  try {
    database.prepare("VACUUM INTO ?").run(draft);
    chmodSync(draft, 0o600);
    fsyncSync(file);
    checkCopy(draft);
    renameSync(draft, copyPath);
  } finally {
    closeSync(file);
    rmSync(draft, { force: true });
  }
}

function checkCopy(path: string): void {
  const copy = new Sqlite(path, { readonly: true });
  try {
    refuseDamaged(copy, path);
  } finally {
    copy.close();
  }
}
