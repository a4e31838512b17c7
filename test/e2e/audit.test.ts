import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { expect, it } from "vitest";
import { call, dormouse, initPair, type SiteProcess, Sites } from "../support/processes.ts";

/** The audit of a real pair, as its operator meets it. */

type Listed = { readonly records: readonly Readonly<Record<string, unknown>>[] };

async function list(site: SiteProcess, ...more: readonly string[]): Promise<Listed["records"]> {
  const { stdout, stderr } = await dormouse([
    "audit",
    "list",
    "--config",
    site.configPath,
    "--json",
    ...more,
  ]);
  if (stdout === "") throw new Error(stderr);
  return (JSON.parse(stdout) as Listed).records;
}

const verify = (site: SiteProcess) => dormouse(["audit", "verify", "--config", site.configPath]);

it("who read what at either site is listed at both, proved, and shows who changed the disk", {
  timeout: 90_000,
}, async () => {
  await using sites = await Sites.inTemporaryFolder();
  const { calgary, zurich } = await initPair(sites);
  await zurich.start();
  await calgary.start();
  const vault = await call(calgary, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
  const { vault_id: vaultId, token } = vault.body as { vault_id: string; token: string };
  const path = `/api/vaults/${vaultId}/entries`;
  const write = () =>
    call(calgary, {
      method: "POST",
      path,
      token,
      body: { type: "note", title: "Under the mat" },
      prefer: "wait=10",
    });
  const { entry_id: entryId } = (await write()).body as { entry_id: string };
  expect((await call(zurich, { path: `${path}/${entryId}`, token })).status).toBe(200);
  expect((await call(zurich, { path: "/api/vaults", token: "dmo_wrong" })).status).toBe(401);
  await write();

  const actions = (records: Listed["records"]) =>
    records.map(({ site, action, result }) => `${String(site)} ${String(action)} ${String(result)}`);
  const expected = [
    "calgary createVault ok",
    "calgary createEntry ok",
    "zurich getEntry ok",
    "zurich listVaults unauthorized",
    "calgary createEntry ok",
  ];
  for (const site of [calgary, zurich]) {
    const listed = actions((await list(site)).toReversed());
    expect(listed).toEqual(expect.arrayContaining(expected));
    expect(await verify(site)).toMatchObject({ status: 0, stdout: expect.stringContaining("whole") });
  }
  const ofVault = await list(calgary, "--vault", vaultId, "--limit", "2");
  expect(actions(ofVault)).toEqual(["calgary createEntry ok", "zurich getEntry ok"]);
  expect(ofVault[1]).toMatchObject({ item_id: entryId, address: "127.0.0.1" });

  // With an operator's token it is the same list, and a table for people.
  const tokenFile = join(calgary.dataPath, "operator.token");
  await writeFile(tokenFile, calgary.operatorToken, { mode: 0o600 });
  const shown = await dormouse(["audit", "--url", calgary.url, "--token-file", tokenFile]);
  expect(shown.stdout).toMatch(/AT +SITE +WHO +ACTION/);
  expect(shown.stdout).toContain(entryId);
  expect(shown.stdout).not.toContain("mat");

  const database = new Sqlite(join(zurich.dataPath, "dormouse.db"));
  database.exec("UPDATE audit_records SET result = 'unauthorized' WHERE action = 'getEntry'");
  database.close();
  const found = await verify(zurich);
  expect(found).toMatchObject({ status: 1, stdout: expect.stringMatching(/zurich .* broken at record 2/) });
  expect(await verify(calgary)).toMatchObject({ status: 0 });
});
