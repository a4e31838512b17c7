import { createHash } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { newEntry, newVault, put, putAll, set } from "../../../test/contract/store-harness.ts";
import { sqliteSite } from "../../../test/support/sqlite-site.ts";
import { formatPosition } from "../../core/position.ts";
import type { StoredRow } from "../../core/row.ts";
import { migrations } from "./migrations.ts";
import { type CopyProgress, copyDatabase, examineSnapshot } from "./snapshot.ts";

const { init, open, folder } = sqliteSite();
const never = new AbortController().signal;

/** A new empty file: what becomes the copy. */
function target(): string {
  const path = join(folder(), "copy");
  writeFileSync(path, "", { mode: 0o600 });
  return path;
}

function copy(database: string, path: string, onProgress: (progress: CopyProgress) => void = () => {}) {
  return copyDatabase({ database, isRunning: true, target: path }, onProgress, never);
}

describe("a copy of a database", () => {
  it("is one file that needs nothing beside it, with the head and the digest that it tells of", async () => {
    const database = init();
    const { store } = open(database);
    const row = await set(store, newVault(), "v");
    const path = target();
    const made = await copy(database, path);
    expect(made).toEqual({
      bytes: statSync(path).size,
      position: formatPosition(row.position),
      sha256: createHash("sha256").update(readFileSync(path)).digest("hex"),
    });
    expect(readdirSync(dirname(path))).toEqual(["copy"]);
    expect(examineSnapshot(path)).toEqual({ site: "calgary", role: "primary", position: made.position });
  });

  it("made while writers are at work is a state that the site was in, and stops none of them", async () => {
    const database = init();
    const { store } = open(database);
    const vault = newVault();
    await set(store, vault, "v");
    const entries = Array.from({ length: 3_000 }, () => newEntry(vault.vaultId));
    const history: StoredRow[] = [
      ...(await store.transact((tx) => tx.rows.write(putAll(entries, "x".repeat(4_000))))),
    ];
    let isDone = false;
    let during = 0;
    let slowestMs = 0;
    const writing = (async () => {
      for (let n = 0; !isDone; n += 1) {
        const startedMs = performance.now();
        const rows = await store.transact((tx) =>
          tx.rows.write(put(entries[n % entries.length] ?? vault, `again ${n}`)),
        );
        slowestMs = Math.max(slowestMs, performance.now() - startedMs);
        history.push(...rows);
        during += 1;
      }
    })();
    const stages: string[] = [];
    const path = target();
    const made = await copy(database, path, ({ stage, done, total }) => {
      if (stage === "copying") stages.push(`${done}/${total}`);
    });
    isDone = true;
    await writing;
    expect(during).toBeGreaterThan(10);
    expect(slowestMs).toBeLessThan(1_000);
    // Never begun anew: how much is left only falls.
    const left = stages.map((text) => Number(text.split("/")[1]) - Number(text.split("/")[0]));
    expect(left).toEqual(left.toSorted((a, b) => b - a));
    expect(new Set(stages.map((text) => text.split("/")[1])).size).toBe(1);

    const copied = open(path).store;
    const { head } = await copied.read((r) => r.site.record());
    expect(formatPosition(head.position)).toBe(made.position);
    const upTo = history.filter(({ position }) => position.seq <= head.position.seq);
    const newest = new Map(upTo.map((row) => [JSON.stringify(row.key), row]));
    for (const row of newest.values()) {
      const there = await copied.read((r) => r.rows.row(row.key));
      expect([there?.position, there?.hash]).toEqual([row.position, row.hash]);
    }
    expect((await store.read((r) => r.site.record())).head.position.seq).toBeGreaterThan(head.position.seq);
  });

  it("ends when it is aborted, and the site works on", async () => {
    const database = init();
    const { store } = open(database);
    const vault = newVault();
    await set(store, vault, "v");
    await store.transact((tx) =>
      tx.rows.write(
        putAll(
          Array.from({ length: 2_000 }, () => newEntry(vault.vaultId)),
          "x".repeat(4_000),
        ),
      ),
    );
    const stop = new AbortController();
    const copying = copyDatabase(
      { database, isRunning: true, target: target() },
      () => stop.abort(),
      stop.signal,
    );
    await expect(copying).rejects.toMatchObject({ name: "AbortError" });
    await set(store, newVault(), "after");
    await expect(
      copyDatabase({ database, isRunning: true, target: target() }, () => {}, stop.signal),
    ).rejects.toMatchObject({ name: "AbortError" });
  });

  it("of a database with a damaged page is refused", async () => {
    const database = init();
    const { store } = open(database);
    const vault = newVault();
    await set(store, vault, "v");
    await store.transact((tx) =>
      tx.rows.write(
        putAll(
          Array.from({ length: 200 }, () => newEntry(vault.vaultId)),
          "x".repeat(4_000),
        ),
      ),
    );
    await store.close();
    overwrite(database, Math.floor(statSync(database).size / 8_192) * 4_096);
    await expect(copy(database, target())).rejects.toMatchObject({ code: "database_corrupt" });
  });

  it("where nothing can be written is refused, and the thread is gone", async () => {
    const database = init();
    const nowhere = join(folder(), "none", "copy");
    await expect(copy(database, nowhere)).rejects.toThrow("the directory does not exist");
    await expect(copy(join(folder(), "none"), target())).rejects.toMatchObject({ code: "storage_failed" });
  });
});

/** A page of nonsense. */
function overwrite(path: string, at: number): void {
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(4_096, 0xa5), 0, 4_096, at);
  closeSync(file);
}

describe("a file that is restored is looked at first", () => {
  async function snapshot(): Promise<string> {
    const database = init();
    const { store } = open(database);
    const vault = newVault();
    await set(store, vault, "v");
    await store.transact((tx) =>
      tx.rows.write(
        putAll(
          Array.from({ length: 200 }, () => newEntry(vault.vaultId)),
          "x".repeat(4_000),
        ),
      ),
    );
    const path = target();
    await copy(database, path);
    return path;
  }

  function refusal(path: string, name?: string): unknown {
    try {
      examineSnapshot(path, name);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  it.each<[string, (path: string) => void, RegExp]>([
    ["is empty", (path) => writeFileSync(path, ""), /FILE is empty/],
    [
      "is no database",
      (path) => writeFileSync(path, "hello ".repeat(1_000)),
      /FILE does not begin like a database/,
    ],
    [
      "is cut short",
      (path) => writeFileSync(path, readFileSync(path).subarray(0, 100_000)),
      /FILE .* cut short/,
    ],
    [
      "has a damaged page",
      (path) => overwrite(path, Math.floor(statSync(path).size / 8_192) * 4_096),
      /FILE is damaged/,
    ],
  ])("and refused where it %s", async (_, spoil, words) => {
    const path = await snapshot();
    spoil(path);
    expect(refusal(path, "FILE")).toMatchObject({
      code: "snapshot_invalid",
      message: expect.stringMatching(words),
    });
  });

  it("and refused where it is another program's database", () => {
    const path = join(folder(), "other");
    const other = new Sqlite(path);
    other.exec("CREATE TABLE site (id INTEGER); INSERT INTO site VALUES (1)");
    other.close();
    expect(refusal(path)).toMatchObject({ code: "snapshot_invalid" });
  });

  it("and refused where it is a database file that was copied as it lay: its log may be missing", async () => {
    const database = init();
    const { store } = open(database);
    await set(store, newVault(), "v");
    const path = join(folder(), "copied");
    copyFileSync(database, path);
    expect(refusal(path)).toMatchObject({
      code: "snapshot_invalid",
      message: expect.stringContaining("as it lay"),
    });
  });

  it("and refused where a newer program made it", async () => {
    const path = await snapshot();
    const newer = new Sqlite(path);
    newer.prepare("INSERT INTO migrations VALUES (?, 0)").run(migrations.length + 1);
    newer.close();
    expect(refusal(path)).toMatchObject({ code: "database_newer" });
  });
});
