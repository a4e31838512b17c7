import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import {
  batch,
  calgary,
  newAccess,
  newEntry,
  newVault,
  newVersion,
  pushOf,
  zurich,
} from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import type { RowKey } from "../../core/row.ts";
import { encodePush } from "../../protocol/push-frames.ts";
import { receivePush } from "../../replication/backup/apply.ts";
import { initialiseSite } from "./new-site.ts";
import type { SqliteStore } from "./sqlite-store.ts";

const { folder, init, open } = sqliteSite();

/** Bytes that are found nowhere but in the body that they were made for. */
let made = 0;
function secret(bytes: number): Uint8Array {
  made += 1;
  return new Uint8Array(Buffer.from(`<${made} was not to be found>`.repeat(bytes / 20).slice(0, bytes)));
}

/** The names of the files in which a part of a body is. */
function filesWith(path: string, body: Uint8Array): string[] {
  const names = readdirSync(dirname(path));
  const parts = [body.subarray(0, 24), body.subarray(body.length / 2, body.length / 2 + 24)];
  return names.filter((name) => {
    const content = readFileSync(join(dirname(path), name));
    return parts.some((part) => content.includes(Buffer.from(part)));
  });
}

async function put(store: SqliteStore, key: RowKey, body: Uint8Array | null): Promise<void> {
  await store.transact((tx) => tx.rows.write({ keys: [], decide: () => [{ key, body }] }));
}

type Site = { readonly path: string; readonly store: SqliteStore };

function pair(): { readonly primary: Site; readonly backup: Site } {
  const [here, there] = [init(), join(folder(), "dormouse.db")];
  initialiseSite(there, { site: zurich, role: "backup", ...ports });
  return {
    primary: { path: here, store: open(here).store },
    backup: { path: there, store: open(there).store },
  };
}

/** Everything that the backup lacks, by the very way that it comes; returns the answer's status. */
async function push({ primary, backup }: ReturnType<typeof pair>): Promise<number> {
  const { head } = await backup.store.read((r) => r.site.record());
  const listing = await primary.store.read((r) => r.replication.listAbove(head.position, batch, zurich));
  const json = Buffer.concat([...encodePush(await pushOf(primary.store, listing))]).toString();
  const reply = await receivePush(backup.store, calgary, JSON.parse(json));
  return reply.status;
}

/** The work, with time going on as long as it waits. */
async function turning<T>(work: Promise<T>): Promise<T> {
  let isOver = false;
  const end = (): void => {
    isOver = true;
  };
  work.then(end, end);
  while (!isOver) {
    await Promise.race([work.catch(() => undefined), ports.clock.untilSleeping()]);
    await ports.clock.advance(100);
  }
  return work;
}

describe("what was purged", () => {
  it("is in no file of either site once the backup has acknowledged it: the entry, its history, a revoked access", async () => {
    const sites = pair();
    const { primary, backup } = sites;
    const vault = newVault();
    const entry = newEntry(vault.vaultId);
    const [access, kept] = [newAccess(vault.vaultId), newEntry(vault.vaultId)];
    const bodies = new Map<RowKey, Uint8Array>([
      [vault, secret(200)],
      [newVersion(entry, 1), secret(300)],
      [newVersion(entry, 2), secret(20_000)],
      [entry, secret(900)],
      [access, secret(500)],
      [kept, secret(700)],
    ]);
    for (const [key, body] of bodies) await put(primary.store, key, body);
    expect(await push(sites)).toBe(200);
    for (const body of bodies.values()) {
      expect(filesWith(primary.path, body)).not.toEqual([]);
      expect(filesWith(backup.path, body)).not.toEqual([]);
    }
    const purged = [newVersion(entry, 1), newVersion(entry, 2), entry, access];
    await primary.store.transact((tx) =>
      tx.rows.write({ keys: [], decide: () => purged.map((key) => ({ key, body: null })) }),
    );
    await primary.store.erasure.eraseRemains();
    expect(await push(sites)).toBe(200);
    for (const [key, body] of bodies) {
      const isGone = purged.some((one) => JSON.stringify(one) === JSON.stringify(key));
      expect(filesWith(primary.path, body).length === 0).toBe(isGone);
      expect(filesWith(backup.path, body).length === 0).toBe(isGone);
    }
  });

  it("is not acknowledged while a reader of the backup looks at what was, and is when that has ended", async () => {
    const sites = pair();
    const { primary, backup } = sites;
    const vault = newVault();
    const entry = newEntry(vault.vaultId);
    const body = secret(400);
    await put(primary.store, vault, secret(100));
    await put(primary.store, entry, body);
    await push(sites);
    await put(primary.store, entry, null);
    const reader = new Sqlite(backup.path, { readonly: true });
    reader.exec("BEGIN; SELECT count(*) FROM rows");
    await expect(turning(push(sites))).rejects.toMatchObject({ code: "busy" });
    expect(filesWith(backup.path, body)).not.toEqual([]);
    expect(await backup.store.erasure.hasRemains()).toBe(true);
    reader.close();
    // The push was applied: what is asked next is where the backup stands.
    expect(await push(sites)).toBe(200);
    expect(filesWith(backup.path, body)).toEqual([]);
    expect(await backup.store.erasure.hasRemains()).toBe(false);
  });

  it("is erased though the log is long, and costs nothing where nothing remains", async () => {
    const { path, store } = pair().primary;
    const vault = newVault();
    const bodies = Array.from({ length: 40 }, () => secret(200_000));
    await put(store, vault, secret(10));
    const keys = bodies.map(() => newEntry(vault.vaultId));
    const reader = new Sqlite(path, { readonly: true });
    reader.exec("BEGIN; SELECT count(*) FROM rows");
    await store.transact((tx) =>
      tx.rows.write({
        keys: [],
        decide: () => keys.map((key, index) => ({ key, body: bodies[index] ?? null })),
      }),
    );
    await store.transact((tx) =>
      tx.rows.write({ keys: [], decide: () => keys.map((key) => ({ key, body: null })) }),
    );
    expect(statSync(`${path}-wal`).size).toBeGreaterThan(8_000_000);
    reader.close();
    await store.erasure.eraseRemains();
    for (const body of bodies) expect(filesWith(path, body)).toEqual([]);
    const { ino, mtimeMs } = statSync(path);
    await store.erasure.eraseRemains();
    expect(statSync(path)).toMatchObject({ ino, mtimeMs });
  });
});
