import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite } from "../../test/support/http-site.ts";
import { entryKey, versionKey } from "../core/entry-writes.ts";
import type { EntryId, VaultId } from "../core/ids.ts";
import type { RowKey } from "../core/row.ts";

let site: HttpSite;
beforeAll(async () => {
  site = await openHttpSite({ keepVersions: 3 });
});
afterAll(() => site.close());

type Vault = Awaited<ReturnType<HttpSite["createVault"]>>;

async function entryOf(
  vault: Vault,
  edits: number,
): Promise<{ readonly path: string; readonly id: EntryId }> {
  const { token } = vault;
  const body = { type: "note", title: "version 1" };
  const { json } = await site.call(`POST ${vault.path}/entries`, { token, body });
  const path = `${vault.path}/entries/${String(json["entry_id"])}`;
  for (let version = 2; version <= edits + 1; version += 1) {
    await site.call(`PATCH ${path}`, { token, body: { title: `version ${version}` } });
  }
  return { path, id: String(json["entry_id"]) as EntryId };
}

function versionsIn(json: Record<string, unknown>): readonly (readonly [unknown, unknown])[] {
  return (json["versions"] as { version: number; title: string }[]).map(({ version, title }) => [
    version,
    title,
  ]);
}

/** Puts bytes where a row's body is, as one who can write the disk would: with a hash that fits. */
async function plant(key: RowKey, change: (body: Uint8Array) => Uint8Array): Promise<void> {
  await site.store.transact((tx) =>
    tx.rows.write({
      keys: [key],
      decide: ([row]) => [{ key, body: change(row?.body ?? new Uint8Array(0)) }],
    }),
  );
}

describe("the history of an entry", () => {
  it("holds what it was at each of the newest versions, as many as are kept", async () => {
    const vault = await site.createVault();
    const { path } = await entryOf(vault, 5);
    const { json } = await site.call(`GET ${path}/versions`, { token: vault.token });
    expect(versionsIn(json)).toEqual([
      [5, "version 5"],
      [4, "version 4"],
      [3, "version 3"],
    ]);
    const old = await site.call(`GET ${path}/versions/4`, { token: vault.token });
    expect([old.status, old.json["title"], old.json["version"]]).toEqual([200, "version 4", 4]);
    const current = await site.call(`GET ${path}/versions/6`, { token: vault.token });
    expect(current.json["title"]).toBe("version 6");
    for (const gone of ["1", "2", "7", "0", "x"]) {
      const { status, json: problem } = await site.call(`GET ${path}/versions/${gone}`, {
        token: vault.token,
      });
      expect([gone, status, problem["code"]]).toEqual([gone, 404, "version_unknown"]);
    }
  });

  it("is listed in pages", async () => {
    const vault = await site.createVault();
    const { path } = await entryOf(vault, 5);
    const first = await site.call(`GET ${path}/versions?limit=2`, { token: vault.token });
    expect(versionsIn(first.json).map(([version]) => version)).toEqual([5, 4]);
    const rest = await site.call(`GET ${path}/versions?limit=2&cursor=${first.json["next_cursor"]}`, {
      token: vault.token,
    });
    expect(versionsIn(rest.json).map(([version]) => version)).toEqual([3]);
    expect(rest.json["next_cursor"]).toBeNull();
  });

  it("can be gone back to, which is a new version, also out of the trash", async () => {
    const vault = await site.createVault();
    const { token } = vault;
    const { path } = await entryOf(vault, 2);
    await site.call(`DELETE ${path}`, { token });
    const { status, json } = await site.call(`POST ${path}/versions/1/restore`, { token });
    expect([status, json["title"], json["version"], json["trashed_at"]]).toEqual([200, "version 1", 5, null]);
    const unknown = await site.call(`POST ${path}/versions/9/restore`, { token });
    expect(unknown.json["code"]).toBe("version_unknown");
  });

  it("goes with the entry when that is purged: nothing of it is left in the store", async () => {
    const vault = await site.createVault();
    const { path, id } = await entryOf(vault, 5);
    await site.call(`DELETE ${path}?purge=true`, { token: vault.token });
    const address = { vaultId: vault.id as VaultId, entryId: id };
    expect(await site.store.read((r) => r.rows.versions(address.vaultId, id, undefined, 100))).toEqual([]);
    expect((await site.store.read((r) => r.rows.row(entryKey(address))))?.body).toBeNull();
    expect((await site.call(`GET ${path}/versions`, { token: vault.token })).status).toBe(404);
  });
});

describe("a sealed body that was changed on the disk", () => {
  const flip = (at: number) => (body: Uint8Array) =>
    body.map((byte, index) => (index === at ? byte ^ 1 : byte));

  async function planted(change: (body: Uint8Array) => Uint8Array) {
    const vault = await site.createVault();
    const { path, id } = await entryOf(vault, 1);
    await plant(entryKey({ vaultId: vault.id as VaultId, entryId: id }), change);
    return { vault, path, id };
  }

  it.each([
    ["tampered with", flip(90), "sealed_tampered"],
    ["of a later format", flip(0), "sealed_tampered"],
    ["cut off", (body: Uint8Array) => body.slice(0, -1), "sealed_truncated"],
    ["cut off in its header", (body: Uint8Array) => body.slice(0, 20), "sealed_truncated"],
    ["of another vault", flip(3), "sealed_swapped"],
    ["under an unknown key", flip(45), "sealed_key_unknown"],
  ])("%s is named as such, shown in no part, and the operator is told", async (_, change, code) => {
    const { vault, path, id } = await planted(change);
    const { token } = vault;
    const { status, json } = await site.call(`GET ${path}`, { token });
    expect([status, json["code"]]).toEqual([500, code]);
    expect(JSON.stringify(json)).not.toContain("version 2");
    const list = await site.call(`GET ${vault.path}/entries`, { token });
    expect(list.json["entries"]).toEqual([]);
    expect(list.json["unreadable"]).toEqual([{ entry_id: id, code }]);
    const edit = await site.call(`PATCH ${path}`, { token, body: { title: "x" } });
    expect(edit.json["code"]).toBe(code);
    expect(site.edition.alerts.at(-1)).toEqual({
      event: "entry_unreadable",
      details: { vault_id: vault.id, entry_id: id, code },
    });
  });

  it("exchanged for that of another entry is named as such", async () => {
    const vault = await site.createVault();
    const other = await entryOf(vault, 0);
    const vaultId = vault.id as VaultId;
    const { body } =
      (await site.store.read((r) => r.rows.row(entryKey({ vaultId, entryId: other.id })))) ?? {};
    const mine = await entryOf(vault, 0);
    await plant(entryKey({ vaultId, entryId: mine.id }), () => body ?? new Uint8Array(0));
    const { json } = await site.call(`GET ${mine.path}`, { token: vault.token });
    expect(json["code"]).toBe("sealed_swapped");
  });

  it("put back to an older one is named as such, and its newest version can be restored from", async () => {
    const vault = await site.createVault();
    const { path, id } = await entryOf(vault, 2);
    const address = { vaultId: vault.id as VaultId, entryId: id };
    const { body } = (await site.store.read((r) => r.rows.row(versionKey(address, 1)))) ?? {};
    await plant(entryKey(address), () => body ?? new Uint8Array(0));
    const { json } = await site.call(`GET ${path}`, { token: vault.token });
    expect(json["code"]).toBe("sealed_older");
  });

  it("of an earlier version that holds another is named as such, and the others are shown", async () => {
    const vault = await site.createVault();
    const { path, id } = await entryOf(vault, 2);
    const address = { vaultId: vault.id as VaultId, entryId: id };
    const { body } = (await site.store.read((r) => r.rows.row(versionKey(address, 1)))) ?? {};
    await plant(versionKey(address, 2), () => body ?? new Uint8Array(0));
    const { json } = await site.call(`GET ${path}/versions`, { token: vault.token });
    expect(json["unreadable"]).toEqual([{ version: 2, code: "sealed_swapped" }]);
    expect(versionsIn(json)).toEqual([[1, "version 1"]]);
  });
});
