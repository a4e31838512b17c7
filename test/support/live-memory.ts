import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initialiseSite } from "../../src/store/sqlite/new-site.ts";
import { openSqliteStore } from "../../src/store/sqlite/open.ts";
import { calgary, newEntry, newVault, putAll, set } from "../contract/store-harness.ts";
import { SeededRandom, sha256Hash, VirtualClock } from "./ports.ts";

/** A process that writes many rows and says what it holds in memory after some of them: run with `--expose-gc`. */

const ports = { clock: new VirtualClock(), random: new SeededRandom(5), hash: sha256Hash };
const folder = mkdtempSync(join(tmpdir(), "dormouse-memory-"));
const path = join(folder, "dormouse.db");
initialiseSite(path, { site: calgary, role: "primary", ...ports });
const { store } = openSqliteStore({ path, ...ports });
const vault = newVault();
await set(store, vault, "a vault");
let rows = 1;

async function writeUntil(count: number): Promise<number> {
  while (rows < count) {
    const keys = Array.from({ length: Math.min(1_000, count - rows) }, () => newEntry(vault.vaultId));
    await store.transact((tx) => tx.rows.write(putAll(keys, "an entry")));
    rows += keys.length;
  }
  await store.read((r) => r.rows.entries(vault.vaultId, undefined, 100));
  global.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const counts = process.argv.slice(2).map(Number);
// What is compiled and allocated once is there after the first thousand.
await writeUntil(2_000);
const bytes: number[] = [];
for (const count of counts) bytes.push(await writeUntil(count));
process.stdout.write(JSON.stringify(bytes));
await store.close();
rmSync(folder, { recursive: true });
