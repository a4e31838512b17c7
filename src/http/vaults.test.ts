import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite } from "../../test/support/http-site.ts";
import { systemClock } from "../app/system-ports.ts";
import type { VaultId } from "../core/ids.ts";
import { buryRows, vaultKey } from "../core/vault.ts";
import { finishDeletions } from "./vault-deletion.ts";

let site: HttpSite;
beforeEach(async () => {
  site = await openHttpSite();
});
afterEach(() => site.close());

const entries = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ type: "note", title: String(index) }));

describe("a vault", () => {
  it("is created with a token that opens it and is shown nowhere again", async () => {
    const { status, json, headers } = await site.call("POST /api/vaults", {
      token: site.operator,
      body: { name: "Family" },
    });
    expect(status).toBe(201);
    expect(headers.location).toBe(`/api/vaults/${json.vault_id}`);
    const token = String(json.token);
    const read = await site.call(`GET /api/vaults/${json.vault_id}`, { token });
    expect(read.json).toEqual({
      vault_id: json.vault_id,
      name: "Family",
      created_at: expect.any(String),
      updated_at: expect.any(String),
      replication: { dirty: false, replicated_at: null },
    });
    expect(JSON.stringify((await site.call("GET /api/vaults", { token: site.operator })).json)).not.toContain(
      "token",
    );
  });

  it("is listed for the operator with the number of its entries and nothing that is in it", async () => {
    const vault = await site.createVault("Family");
    await site.call(`POST ${vault.path}/entries/import`, {
      token: vault.token,
      body: { entries: entries(3) },
    });
    const { json } = await site.call("GET /api/vaults", { token: site.operator });
    expect(json.vaults).toEqual([
      expect.objectContaining({ vault_id: vault.id, name: "Family", entries: 3 }),
    ]);
  });

  it("is renamed, with If-Match honoured", async () => {
    const vault = await site.createVault("Family");
    const { headers } = await site.call(`GET ${vault.path}`, { token: vault.token });
    const rename = (name: string) =>
      site.call(`PATCH ${vault.path}`, {
        token: vault.token,
        headers: { "if-match": String(headers.etag) },
        body: { name },
      });
    expect((await rename("Work")).json.name).toBe("Work");
    expect((await rename("Home")).json.code).toBe("stale_match");
    expect((await site.call(`GET ${vault.path}`, { token: vault.token })).json.name).toBe("Work");
  });

  it.each([{}, { name: "" }, { name: 5 }, { name: "a", colour: "red" }, [], "text", null])(
    "is not created from %j",
    async (body) => {
      const headers = { "content-type": "application/json" };
      const { status } = await site.call("POST /api/vaults", {
        token: site.operator,
        headers,
        body: JSON.stringify(body),
      });
      expect(status).toBe(400);
      expect((await site.call("GET /api/vaults", { token: site.operator })).json.vaults).toEqual([]);
    },
  );
});

describe("a deletion", () => {
  it("leaves a tombstone of every row, through more slices than one, and wakes the workers after each", async () => {
    const vault = await site.createVault();
    const kept = await site.createVault("kept");
    const imported = { token: vault.token, body: { entries: entries(450) } };
    const { json } = await site.call(`POST ${vault.path}/entries/import`, imported);
    const before = site.edition.signals;
    const answered = await site.call(`DELETE ${vault.path}`, { token: vault.token });
    expect(answered.json).toMatchObject({ vault_id: vault.id, deleted: true });
    expect(site.edition.signals).toBeGreaterThanOrEqual(before + 4);
    expect(await site.store.read((r) => r.rows.orphans(10))).toEqual([]);
    const vaultId = vault.id as VaultId;
    for (const entryId of (json.entry_ids as string[]).slice(0, 3)) {
      const row = await site.store.read((r) =>
        r.rows.row({ kind: "entry", vaultId, entryId: entryId as never }),
      );
      expect(row?.body).toBeNull();
    }
    expect((await site.store.read((r) => r.rows.row(vaultKey(vaultId))))?.body).toBeNull();
    expect((await site.call(`GET ${kept.path}`, { token: kept.token })).status).toBe(200);
  });

  it("that a crash cut short is finished at the next start", async () => {
    const vault = await site.createVault();
    await site.call(`POST ${vault.path}/entries/import`, {
      token: vault.token,
      body: { entries: entries(5) },
    });
    // What the first transaction of a deletion commits; the crash comes before the second.
    await site.store.transact((tx) => tx.rows.write(buryRows([vaultKey(vault.id as VaultId)])));
    expect((await site.call(`GET ${vault.path}/entries`, { token: vault.token })).status).toBe(401);
    expect(await site.store.read((r) => r.rows.orphans(10))).toHaveLength(6);
    let commits = 0;
    const options = { store: site.store, clock: systemClock, signal: new AbortController().signal };
    await finishDeletions({ ...options, onCommit: () => (commits += 1) });
    expect(await site.store.read((r) => r.rows.orphans(10))).toEqual([]);
    expect(commits).toBe(1);
  });

  it("asked for twice at once happens once", async () => {
    const vault = await site.createVault();
    const both = [1, 2].map(() => site.call(`DELETE ${vault.path}`, { token: vault.token }));
    const statuses = (await Promise.all(both)).map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses[0]).toBe(200);
    expect([401, 404]).toContain(statuses[1]);
  });
});
