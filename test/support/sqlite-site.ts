import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import type { SiteName } from "../../src/core/ids.ts";
import { initialiseSite } from "../../src/store/sqlite/new-site.ts";
import { type OpenedStore, type OpenOptions, openSqliteStore } from "../../src/store/sqlite/open.ts";
import { SeededRandom, sha256Hash, VirtualClock } from "./ports.ts";

/** A site's database in a folder of its own, for the tests of one file; gone after each test. */
export type SqliteSite = {
  /** A new folder. */
  readonly folder: () => string;
  /** The database of a new site; returns its path. */
  readonly init: (role?: "primary" | "backup") => string;
  readonly open: (path: string, options?: Partial<OpenOptions>) => OpenedStore;
};

export const ports = { clock: new VirtualClock(), random: new SeededRandom(3), hash: sha256Hash };

export function sqliteSite(): SqliteSite {
  const folders: string[] = [];
  const opened: OpenedStore[] = [];
  afterEach(async () => {
    for (const { store } of opened.splice(0)) await store.close();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), "dormouse-store-"));
    folders.push(path);
    return path;
  };
  return {
    folder,
    init: (role = "primary") => {
      const path = join(folder(), "dormouse.db");
      initialiseSite(path, { site: "calgary" as SiteName, role, ...ports });
      return path;
    },
    open: (path, options = {}) => {
      const store = openSqliteStore({ path, ...ports, ...options });
      opened.push(store);
      return store;
    },
  };
}
