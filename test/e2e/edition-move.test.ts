import { readFile, writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { initLoneSite, pairSites } from "../support/pairing.ts";
import { call, initCommunitySite, type SiteProcess, Sites } from "../support/processes.ts";

type Vault = { readonly path: string; readonly token: string };

async function createVault(site: SiteProcess): Promise<Vault> {
  const { body } = await call(site, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
  const { vault_id: vaultId, token } = body as { vault_id: string; token: string };
  return { path: `/api/vaults/${vaultId}/entries`, token };
}

async function addNote(site: SiteProcess, vault: Vault, title: string): Promise<void> {
  const answer = await call(site, {
    method: "POST",
    path: vault.path,
    token: vault.token,
    body: { type: "note", title },
  });
  expect(answer.status).toBe(201);
}

async function titles(site: SiteProcess, vault: Vault): Promise<readonly string[]> {
  const { body } = await call(site, vault);
  return (body as { entries: { title: string }[] }).entries.map(({ title }) => title);
}

async function drained(site: SiteProcess): Promise<void> {
  await expect
    .poll(async () => (await call(site, { path: "/api/replication" })).body, { timeout: 15_000 })
    .toMatchObject({ dirty: 0, peers: [{ state: "asleep", dirty: 0 }] });
}

async function changeEdition(site: SiteProcess, from: string, to: string): Promise<void> {
  const text = await readFile(site.configPath, "utf8");
  expect(text).toContain(from);
  await writeFile(site.configPath, text.replace(from, to));
}

it("a community site moved to commercial replicates what it already holds, and moved back goes on alone", async () => {
  await using sites = await Sites.inTemporaryFolder();
  // As docs/OPERATIONS.md says: no peers yet, so that pairing can write them.
  const replication = { peers: [], backoff: { base_ms: 100 } };
  const calgary = await initCommunitySite(sites, { replication });
  await calgary.start();
  const vault = await createVault(calgary);
  for (const title of ["one", "two"]) await addNote(calgary, vault, title);
  expect(await calgary.stop()).toBe(0);

  await changeEdition(calgary, "community", "commercial");
  const zurich = await initLoneSite(sites, "zurich", "backup");
  await zurich.start();
  await calgary.start();
  await pairSites(calgary, zurich);
  await drained(calgary);
  expect(await titles(zurich, vault)).toEqual(["two", "one"]);
  await addNote(calgary, vault, "three");
  await drained(calgary);
  expect(await calgary.stop()).toBe(0);

  await changeEdition(calgary, "commercial", "community");
  await calgary.start();
  await addNote(calgary, vault, "four");
  expect((await call(calgary, { path: "/api/replication" })).status).toBe(404);
  expect((await call(calgary, { method: "POST", path: "/api/pairing", body: {} })).status).toBe(404);
  expect(await titles(zurich, vault)).toEqual(["three", "two", "one"]);
  expect(await calgary.stop()).toBe(0);

  await changeEdition(calgary, "community", "commercial");
  await calgary.start();
  await drained(calgary);
  expect(await titles(zurich, vault)).toEqual(["four", "three", "two", "one"]);
}, 60_000);
