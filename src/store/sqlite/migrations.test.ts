import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { fill } from "../../../test/contract/store-harness.ts";
import { sqliteSite } from "../../../test/support/sqlite-site.ts";
import { type Migration, migrations, schemaVersion } from "./migrations.ts";

const { init, open } = sqliteSite();

const second: Migration = {
  version: 2,
  up: (database) => database.exec("CREATE TABLE second (n INTEGER) STRICT"),
};
const third: Migration = { version: 3, up: (database) => database.exec("INSERT INTO second VALUES (3)") };
const broken: Migration = {
  version: 3,
  up: (database) => {
    database.exec("CREATE TABLE half (n INTEGER) STRICT");
    throw new Error("a fault in the middle of a step");
  },
};

/** A site of the first schema, with rows. */
async function older(): Promise<string> {
  const path = init();
  const { store, upgrade } = open(path);
  expect(upgrade).toBeNull();
  await fill(store, 30);
  await store.close();
  return path;
}

function look<T>(path: string, read: (database: Sqlite.Database) => T): T {
  const database = new Sqlite(path, { readonly: true });
  try {
    return read(database);
  } finally {
    database.close();
  }
}

describe("an upgrade", () => {
  it("runs what is missing in order, whatever order it is given in, and keeps every row", async () => {
    const path = await older();
    const { store, upgrade } = open(path, { migrations: [third, ...migrations, second] });
    expect(upgrade).toEqual({ fromVersion: 1, toVersion: 3, copyPath: `${path}.before-3` });
    expect((await store.read((r) => r.rows.vaults()))[0]?.entries).toBe(30);
    expect(look(path, (database) => database.prepare("SELECT n FROM second").all())).toEqual([{ n: 3 }]);
    expect(
      look(path, (database) => database.prepare("SELECT version FROM migrations").pluck().all()),
    ).toEqual([1, 2, 3]);
  });

  it("leaves a copy behind as it was, whole, and private", async () => {
    const path = await older();
    const { upgrade } = open(path, { migrations: [...migrations, second] });
    const copy = upgrade?.copyPath ?? "";
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    expect(look(copy, schemaVersion)).toBe(1);
    expect(look(copy, (database) => database.prepare("SELECT count(*) FROM rows").pluck().get())).toBe(31);
    expect(readdirSync(dirname(path)).filter((file) => file.endsWith(".new"))).toEqual([]);
  });

  it("makes no copy where there is nothing to do", async () => {
    const path = await older();
    await open(path).store.close();
    expect(readdirSync(dirname(path))).toEqual(["dormouse.db"]);
  });

  it("that fails keeps the steps before it and nothing of its own, and can be repeated", async () => {
    const path = await older();
    expect(() => open(path, { migrations: [...migrations, second, broken] })).toThrow(
      "a fault in the middle",
    );
    expect(look(path, schemaVersion)).toBe(2);
    expect(
      look(path, (database) => database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'half'").all()),
    ).toEqual([]);
    const { store } = open(path, { migrations: [...migrations, second, third] });
    expect((await store.read((r) => r.rows.vaults()))[0]?.entries).toBe(30);
  });
});

describe("a database of a newer program", () => {
  it("is refused by name, and not touched", async () => {
    const path = await older();
    await open(path, { migrations: [...migrations, second] }).store.close();
    expect(() => open(path)).toThrow(
      expect.objectContaining({
        code: "database_newer",
        message: expect.stringMatching(/schema 2.*up to 1/),
      }),
    );
    expect(look(path, schemaVersion)).toBe(2);
    expect(existsSync(`${path}.before-1`)).toBe(false);
  });
});
