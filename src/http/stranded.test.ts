import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite } from "../../test/support/http-site.ts";
import { encodeStranded, strandedIdOf } from "../core/aside.ts";
import { entryKey } from "../core/entry-writes.ts";
import type { EntryId, SiteName, VaultId } from "../core/ids.ts";
import { systemHash } from "../app/system-ports.ts";
import type { Row } from "../core/row.ts";

let site: HttpSite;
beforeAll(async () => {
  site = await openHttpSite();
});
afterAll(() => site.close());

type Vault = Awaited<ReturnType<HttpSite["createVault"]>>;

/** An entry whose second state is stranded: another was written over the first one here. */
async function scene() {
  const vault = await site.createVault();
  const { token } = vault;
  const { json } = await site.call(`POST ${vault.path}/entries`, {
    token,
    body: { type: "note", title: "first" },
  });
  const id = String(json["entry_id"]) as EntryId;
  const path = `${vault.path}/entries/${id}`;
  await site.call(`PATCH ${path}`, { token, body: { title: "lost" } });
  const key = entryKey({ vaultId: vault.id as VaultId, entryId: id });
  const lost = await site.store.read((r) => r.rows.row(key));
  if (!lost) throw new Error("no row");
  await site.call(`POST ${path}/versions/1/restore`, { token });
  await site.call(`PATCH ${path}`, { token, body: { title: "won" } });
  return { vault, path, key, stranded: await strand(vault, lost) };
}

async function strand(vault: Vault, row: Row): Promise<string> {
  const strandedId = strandedIdOf(systemHash, row);
  const key = { kind: "stranded", vaultId: vault.id as VaultId, strandedId } as const;
  const body = encodeStranded({ row, site: "zurich" as SiteName, at: 1 });
  await site.store.transact((tx) => tx.rows.write({ keys: [key], decide: () => [{ key, body }] }));
  return `${vault.path}/stranded/${strandedId}`;
}

describe("a stranded entry", () => {
  it("can be read by who can open its vault, and by nobody else", async () => {
    const { vault, stranded } = await scene();
    const { status, json } = await site.call(`GET ${stranded}`, { token: vault.token });
    expect([status, json["title"], json["version"]]).toEqual([200, "lost", 2]);
    const other = await site.createVault();
    expect((await site.call(`GET ${stranded}`, { token: other.token })).status).toBe(403);
    expect((await site.call(`GET ${stranded}`, { token: site.operator })).status).toBe(403);
  });

  it("is written again as the newest state, under a version of its own, and what stood there is kept", async () => {
    const { vault, path, stranded } = await scene();
    const { token } = vault;
    const { status, json } = await site.call(`POST ${stranded}/reapply`, { token });
    expect([status, json["title"], json["version"]]).toEqual([200, "lost", 5]);
    expect((await site.call(`GET ${path}`, { token })).json["title"]).toBe("lost");
    expect((await site.call(`GET ${path}/versions/4`, { token })).json["title"]).toBe("won");
    const again = await site.call(`POST ${stranded}/reapply`, { token });
    expect([again.status, again.json["code"]]).toEqual([404, "stranded_unknown"]);
  });

  it("of before a change of the key is opened and written with the keys of after it", async () => {
    const { vault, stranded } = await scene();
    const { token } = vault;
    await site.call(`POST ${vault.path}/rotation`, { token, body: {} });
    await site.call(`POST ${vault.path}/rotation`, { token, body: {} });
    const { status, json } = await site.call(`POST ${stranded}/reapply`, { token });
    expect([status, json["title"]]).toEqual([200, "lost"]);
  });

  it("of an entry that was purged since stays away", async () => {
    const { vault, path, stranded } = await scene();
    const { token } = vault;
    await site.call(`DELETE ${path}?purge=true`, { token });
    const { status, json } = await site.call(`POST ${stranded}/reapply`, { token });
    expect([status, json["code"]]).toEqual([409, "reapply_refused"]);
    expect((await site.call(`GET ${path}`, { token })).status).toBe(404);
  });

  it("that there is not is refused by name", async () => {
    const vault = await site.createVault();
    for (const id of ["x", "0190a000-0000-7000-8000-000000000002"]) {
      const { json } = await site.call(`GET ${vault.path}/stranded/${id}`, { token: vault.token });
      expect(json["code"]).toBe("stranded_unknown");
    }
  });
});
