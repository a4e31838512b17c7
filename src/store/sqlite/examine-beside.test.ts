import { openSync, closeSync, statSync, writeSync } from "node:fs";
import { expect, test } from "vitest";
import type { VaultId } from "../../core/ids.ts";
import { newUuidV7 } from "../../core/ids.ts";
import { vaultKey } from "../../core/vault.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { examineBeside } from "./examine-beside.ts";

const site = sqliteSite();
const pageBytes = 4096;

test("a whole database is examined while its site writes, and nothing is found", async () => {
  const path = site.init();
  const { store } = site.open(path);
  const examined = examineBeside(path);
  for (let n = 0; n < 20; n += 1) {
    const key = vaultKey(newUuidV7(n, ports.random) as VaultId);
    await store.transact((tx) =>
      tx.rows.write({ keys: [key], decide: () => [{ key, body: new Uint8Array(1000) }] }),
    );
  }
  expect(await examined).toBeNull();
});

test("pages that are damaged are told in words", async () => {
  const path = site.init();
  const { store } = site.open(path);
  await store.close();
  const file = openSync(path, "r+");
  // Where a page begins: what lies in the free space of one is no damage.
  const middle = Math.floor(statSync(path).size / 2 / pageBytes) * pageBytes;
  writeSync(file, Buffer.alloc(2048, 0xff), 0, 2048, middle);
  closeSync(file);
  expect(await examineBeside(path)).toEqual(expect.any(String));
});
