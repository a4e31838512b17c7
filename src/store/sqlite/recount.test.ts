import { truncateSync } from "node:fs";
import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { allRows, calgary, fill, set } from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { Buckets } from "../../core/digest.ts";
import type { Store } from "../../core/store/store.ts";
import type { Recount } from "../../core/store/survey.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";

const { init, open } = sqliteSite();

async function expectTrueDigest(store: Store): Promise<void> {
  const buckets = new Buckets();
  for (const row of await allRows(store)) buckets.toggle(ports.hash, row);
  expect((await store.read((r) => r.site.digest())).digest).toEqual(buckets.digest(ports.hash));
}

describe("a recount", () => {
  it("of a file lets others write all the while", async () => {
    const { store } = open(init());
    const { vault } = await fill(store, 50);
    let isCounting = true;
    let writes = 0;
    const write = async (): Promise<void> => {
      for (; isCounting; writes += 1) await set(store, vault, `version ${writes}`);
    };
    let writing: Promise<void> | undefined;
    await store.survey.recount(() => {
      writing ??= write();
    });
    isCounting = false;
    await writing;
    expect(writes).toBeGreaterThan(0);
    await expectTrueDigest(store);
  });

  it("that has begun is joined by nobody: all who come meanwhile share the next, and each hears how far it is", async () => {
    const image = siteImage({ site: calgary, role: "primary", ...ports });
    const store = openMemoryStore({ image, ...ports });
    await fill(store, 2);
    const heard: number[][] = [];
    const waiting: Promise<Recount>[] = [];
    const wait = (): void => {
      const told: number[] = [];
      heard.push(told);
      waiting.push(store.survey.recount((done) => told.push(done)));
    };
    const first = await store.survey.recount((done) => {
      if (done === 0) for (let times = 0; times < 100; times += 1) wait();
    });
    const shared = new Set(await Promise.all(waiting));
    expect(shared.size).toBe(1);
    expect(shared.has(first)).toBe(false);
    expect(heard).toEqual(heard.map(() => [0, 3]));
    expect(shared.has(await store.survey.recount())).toBe(false);
    await store.close();
  });

  it("says what the disk fails with, and so does the next", async () => {
    const path = init();
    const { store } = open(path);
    await fill(store, 400);
    const database = new Sqlite(path);
    database.pragma("wal_checkpoint(TRUNCATE)");
    const pages = Number(database.pragma("page_count", { simple: true }));
    const bytes = pages * Number(database.pragma("page_size", { simple: true }));
    database.close();
    truncateSync(path, bytes / 2);
    // Which of the two depends on the page that is read first of those that are gone.
    const code = expect.stringMatching(/^(storage_failed|database_corrupt)$/);
    await expect(store.survey.recount()).rejects.toMatchObject({ code });
    await expect(store.survey.recount()).rejects.toMatchObject({ code });
  });
});
