import { join } from "node:path";
import { expect, it } from "vitest";
import {
  call,
  type Config,
  dormouse,
  freePort,
  initCommunitySite,
  type SiteProcess,
  Sites,
  writeConfig,
} from "../support/processes.ts";

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

/** What the two sites' files say when the edition is changed. */
function commercial(config: Config, peer: string, url: string): Config {
  const peers = [{ site: peer, url, token_file: "./pair.token" }];
  return { ...config, edition: "commercial", replication: { peers, backoff: { base_ms: 100 } } };
}

async function drained(site: SiteProcess): Promise<void> {
  await expect
    .poll(async () => (await call(site, { path: "/api/replication" })).body, { timeout: 15_000 })
    .toMatchObject({ dirty: 0, peers: [{ state: "asleep", dirty: 0 }] });
}

/** docs/OPERATIONS.md: a primary that exists does not make the pair's secret, so another one is made for that alone. */
async function makePairToken(sites: Sites, config: Config): Promise<void> {
  const path = join(sites.folder, "for-the-token.yaml");
  await writeConfig(path, { ...config, data: "./for-the-token" });
  expect((await dormouse(["init", "--config", path])).status).toBe(0);
}

it("a community site moved to commercial replicates what it already holds, and moved back goes on alone", async () => {
  await using sites = await Sites.inTemporaryFolder();
  const calgary = await initCommunitySite(sites);
  const [zurichPort, calgaryPort] = [await freePort(), Number(new URL(calgary.url).port)];
  const base = {
    site: "calgary",
    data: "./calgary",
    listen: { host: "127.0.0.1", port: calgaryPort },
    public_url: calgary.url,
  };
  const asCommunity = { ...base, edition: "community" };
  const asCommercial = commercial(base, "zurich", `http://127.0.0.1:${zurichPort}`);

  await calgary.start();
  const vault = await createVault(calgary);
  for (const title of ["one", "two"]) await addNote(calgary, vault, title);
  expect(await calgary.stop()).toBe(0);

  await makePairToken(sites, asCommercial);
  await writeConfig(calgary.configPath, asCommercial);
  const zurichConfig = { site: "zurich", ...commercial({}, "calgary", calgary.url) };
  const zurich = await sites.init(zurichConfig, { port: zurichPort, role: "backup" });
  await zurich.start();
  await calgary.start();
  await drained(calgary);
  expect(await titles(zurich, vault)).toEqual(["two", "one"]);
  await addNote(calgary, vault, "three");
  await drained(calgary);
  expect(await calgary.stop()).toBe(0);

  await writeConfig(calgary.configPath, asCommunity);
  await calgary.start();
  await addNote(calgary, vault, "four");
  expect((await call(calgary, { path: "/api/replication" })).status).toBe(404);
  expect(await titles(zurich, vault)).toEqual(["three", "two", "one"]);
  expect(await calgary.stop()).toBe(0);

  await writeConfig(calgary.configPath, asCommercial);
  await calgary.start();
  await drained(calgary);
  expect(await titles(zurich, vault)).toEqual(["four", "three", "two", "one"]);
}, 60_000);
