import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import type { SiteName } from "../../core/ids.ts";
import { fill, newVault, put, set } from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { openFile } from "./connection.ts";
import { initialiseSite } from "./new-site.ts";

const { folder, init, open } = sqliteSite();
const newSite = { site: "calgary" as SiteName, role: "primary", ...ports } as const;
const refusal = (code: string, detail: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(detail) });

/** A site with some rows, closed. */
async function filled(): Promise<string> {
  const path = init();
  const { store } = open(path);
  await fill(store, 50);
  await store.close();
  return path;
}

describe("a new site", () => {
  it("is a file and a folder that nobody else can read, and nothing besides", () => {
    const path = join(folder(), "data", "dormouse.db");
    initialiseSite(path, newSite);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    expect(readdirSync(dirname(path))).toEqual(["dormouse.db"]);
  });

  it("keeps its log and shared memory as private as the database", async () => {
    const path = init();
    const { store } = open(path);
    await set(store, newVault(), "x");
    for (const file of [`${path}-wal`, `${path}-shm`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("is never made over another", async () => {
    const path = await filled();
    const before = readFileSync(path);
    expect(() => initialiseSite(path, newSite)).toThrow(refusal("data_exists", /exists/));
    expect(readFileSync(path)).toEqual(before);
  });

  it("is never made beside the log of a database that is gone, which SQLite would take for its own", () => {
    const path = join(folder(), "dormouse.db");
    writeFileSync(`${path}-wal`, "a log");
    expect(() => initialiseSite(path, newSite)).toThrow(refusal("data_exists", /-wal exists/));
    expect(existsSync(path)).toBe(false);
  });

  it("takes the place of what a crash left half made", () => {
    const path = join(folder(), "dormouse.db");
    writeFileSync(`${path}.new`, "half");
    initialiseSite(path, newSite);
    expect(readdirSync(dirname(path))).toEqual(["dormouse.db"]);
  });
});

describe("opening", () => {
  it("refuses a missing database, and makes none", () => {
    const path = join(folder(), "dormouse.db");
    expect(() => open(path)).toThrow(refusal("data_missing", /there is no database at/));
    expect(existsSync(path)).toBe(false);
  });

  it("refuses an empty file, and says that it was truncated", async () => {
    const path = await filled();
    truncateSync(path, 0);
    expect(() => open(path)).toThrow(refusal("database_corrupt", /is empty.*truncated/));
    expect(statSync(path).size).toBe(0);
  });

  it.each([
    ["half its pages", (bytes: number) => bytes / 2],
    ["its last byte", (bytes: number) => bytes - 1],
    ["all but its header", () => 100],
  ])("refuses a file that lost %s", async (_, left) => {
    const path = await filled();
    truncateSync(path, left(statSync(path).size));
    const before = readFileSync(path);
    expect(() => open(path)).toThrow(refusal("database_corrupt", /cut short/));
    expect(readFileSync(path)).toEqual(before);
  });

  it("refuses a cut file also when it has a log", async () => {
    const path = init();
    const { store } = open(path);
    await fill(store, 50);
    const copy = join(folder(), "dormouse.db");
    for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, copy + suffix);
    truncateSync(copy, 4096);
    expect(() => open(copy)).toThrow(refusal("database_corrupt", /./));
  });

  it.each([
    [
      "is no database",
      Buffer.from("this is a text, and long enough to hold a header of a hundred bytes: ".repeat(3)),
    ],
    ["is too short for a header", Buffer.from("SQLite format 3\0")],
  ])("refuses a file that %s", (_, content) => {
    const path = join(folder(), "dormouse.db");
    writeFileSync(path, content);
    expect(() => open(path)).toThrow(refusal("database_corrupt", /does not begin like a database/));
    expect(readFileSync(path)).toEqual(content);
  });

  it("refuses damaged pages, also those that the start itself never reads", async () => {
    const path = await filled();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, bytes.length - 4096);
    writeFileSync(path, bytes);
    expect(() => open(path)).toThrow(refusal("database_corrupt", /damaged pages/));
    expect(readFileSync(path)).toEqual(bytes);
  });

  it("refuses what it cannot read", () => {
    expect(() => open(folder())).toThrow(refusal("storage_failed", /EISDIR/));
  });

  it("refuses the database of another program", () => {
    const path = join(folder(), "dormouse.db");
    new Sqlite(path).exec("CREATE TABLE notes (text)").close();
    expect(() => open(path)).toThrow(refusal("database_corrupt", /is not the database of a site/));
  });

  it("refuses the database of another site", async () => {
    const path = await filled();
    const open2 = () => open(path, { expectedSite: "zurich" as SiteName });
    expect(open2).toThrow(refusal("data_of_other_site", /belongs to calgary, not to zurich/));
    await open(path, { expectedSite: "calgary" as SiteName }).store.close();
  });

  it("finds everything that was committed before a crash", async () => {
    const path = init();
    const { store } = open(path);
    const { vault } = await fill(store, 20);
    const copy = join(folder(), "dormouse.db");
    for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, copy + suffix);
    const after = open(copy);
    expect(await after.store.read((r) => r.rows.entries(vault.vaultId, undefined, 100))).toHaveLength(20);
    expect(after.upgrade).toBeNull();
  });

  it("leaves flushing and copying back to LogFile, overwrites what is deleted, and lets no foreign key refuse a row", () => {
    const { writer, reader } = openFile(init());
    const settings = ["journal_mode", "synchronous", "wal_autocheckpoint", "secure_delete", "foreign_keys"];
    const found = settings.map((name) => writer.database.pragma(name, { simple: true }));
    expect(found).toEqual(["wal", 1, 0, 1, 0]);
    expect(() => reader.run("DELETE FROM site")).toThrow(/readonly/);
    reader.close();
    writer.close();
  });
});

describe("a purge", () => {
  it("leaves nothing of the body in the files of a closed site", async () => {
    const path = init();
    const { store } = open(path);
    const { keys } = await fill(store, 5);
    const secret = "correct horse battery staple";
    const key = keys[2] ?? newVault();
    await set(store, key, secret.repeat(200));
    await set(store, key, null);
    await store.close();
    expect(readFileSync(path).includes(secret)).toBe(false);
    expect(existsSync(`${path}-wal`)).toBe(false);
  });
});

describe("a disk with less room than configured", () => {
  it("refuses clients, and still takes alerts and acknowledgements", async () => {
    const path = init();
    const { store } = open(path, { diskFreeMinBytes: Number.MAX_SAFE_INTEGER });
    await expect(store.transact((tx) => tx.rows.write(put(newVault(), "x")))).rejects.toMatchObject({
      code: "disk_full",
    });
    expect(
      await store.transact((tx) => tx.alerts.add("disk_low", "", "The disk is nearly full", {})),
    ).toBeDefined();
    await store.transact((tx) => tx.replication.configurePeers(["zurich" as SiteName]));
    const { head } = await store.read((r) => r.site.record());
    await store.acknowledgements.take("zurich" as SiteName, {
      through: head,
      rows: [],
      rejected: [],
      verified: null,
    });
  });
});
