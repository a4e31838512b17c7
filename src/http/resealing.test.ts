import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite, ScriptedEdition } from "../../test/support/http-site.ts";
import { systemHash } from "../app/system-ports.ts";
import { encodeStranded, strandedIdOf } from "../core/aside.ts";
import type { EntryId, SiteName, VaultId } from "../core/ids.ts";
import { isLive, type LiveRow, type Row, type RowKey } from "../core/row.ts";
import { reapplyStranded } from "../core/stranded.ts";
import { decodeVault, vaultKey } from "../core/vault.ts";

const zurich = "zurich" as SiteName;

let site: HttpSite;
const edition = new ScriptedEdition();
beforeAll(async () => {
  site = await openHttpSite({ edition });
});
afterAll(() => site.close());

type Vault = Awaited<ReturnType<HttpSite["createVault"]>>;
type EntryKey = RowKey & { readonly kind: "entry" };

async function addEntry(vault: Vault): Promise<EntryKey> {
  const body = { type: "note", title: "a" };
  const { json } = await site.call(`POST ${vault.path}/entries`, { token: vault.token, body });
  return { kind: "entry", vaultId: vault.id as VaultId, entryId: String(json["entry_id"]) as EntryId };
}

function edit(vault: Vault, { entryId }: EntryKey, title: string) {
  return site.call(`PATCH ${vault.path}/entries/${entryId}`, { token: vault.token, body: { title } });
}

async function titleOf(vault: Vault, { entryId }: EntryKey): Promise<unknown> {
  const { json } = await site.call(`GET ${vault.path}/entries/${entryId}`, { token: vault.token });
  return json["title"] ?? json["code"];
}

async function changeKey(vault: Vault): Promise<void> {
  const { status } = await site.call(`POST ${vault.path}/rotation`, { token: vault.token, body: {} });
  expect(status).toBe(200);
}

async function liveRow(key: RowKey): Promise<LiveRow> {
  const row = await site.store.read((r) => r.rows.row(key));
  if (!row || !isLive(row)) throw new Error("there is no such row");
  return row;
}

async function olderOf({ id }: Vault) {
  return decodeVault((await liveRow(vaultKey(id as VaultId))).body).older;
}

/** Everything is sealed anew; the older key is still there. */
async function noted(vault: Vault): Promise<void> {
  await expect
    .poll(async () => (await olderOf(vault)).map(({ lastPosition }) => lastPosition !== null))
    .toEqual([true]);
}

async function strand(row: Row): Promise<RowKey & { readonly kind: "stranded" }> {
  const strandedId = strandedIdOf(systemHash, row);
  const key = { kind: "stranded", vaultId: row.key.vaultId, strandedId } as const;
  const body = encodeStranded({ row, site: zurich, at: 1 });
  await site.store.transact((tx) => tx.rows.write({ keys: [key], decide: () => [{ key, body }] }));
  return key;
}

describe("a key of before", () => {
  it("stays while something is stranded, and what is reapplied under it is sealed anew before it goes", async () => {
    const vault = await site.createVault();
    const [entry, other] = [await addEntry(vault), await addEntry(vault)];
    const first = await liveRow(entry);
    await edit(vault, entry, "lost");
    const stranded = await strand(await liveRow(entry));
    await site.store.transact((tx) =>
      tx.rows.write({ keys: [], decide: () => [{ key: entry, body: first.body }] }),
    );
    await changeKey(vault);
    await noted(vault);
    const { position } = await liveRow(entry);
    await site.store.transact((tx) =>
      tx.rows.write(reapplyStranded(stranded, entry, { position, versions: [1] })),
    );
    await edit(vault, other, "b");
    await expect.poll(() => olderOf(vault)).toEqual([]);
    expect(await titleOf(vault, entry)).toBe("lost");
  });

  it("stays until every backup holds what was sealed anew", async () => {
    const vault = await site.createVault();
    const entry = await addEntry(vault);
    const asked = Promise.withResolvers<void>();
    edition.holding = async () => {
      asked.resolve();
      return { [zurich]: false };
    };
    await changeKey(vault);
    await noted(vault);
    await asked.promise;
    // What would follow at once has a turn of the store's queue each.
    for (let turn = 0; turn < 10; turn += 1)
      await site.store.transact((tx) => tx.rows.write({ keys: [], decide: () => [] }));
    expect(await olderOf(vault)).toHaveLength(1);
    edition.holding = async () => ({ [zurich]: true });
    await edit(vault, entry, "b");
    await expect.poll(() => olderOf(vault)).toEqual([]);
    expect(await titleOf(vault, entry)).toBe("b");
  });

  it("stays while a backup refuses a row, for it holds that one as it was sealed before", async () => {
    const vault = await site.createVault();
    const [entry, other] = [await addEntry(vault), await addEntry(vault)];
    await site.store.transact((tx) => tx.replication.configurePeers([zurich]));
    const asked = Promise.withResolvers<void>();
    const held = Promise.withResolvers<{ [zurich]: boolean }>();
    edition.holding = () => {
      asked.resolve();
      return held.promise;
    };
    await changeKey(vault);
    await noted(vault);
    await asked.promise;
    const { key, position } = await liveRow(entry);
    const through = (await site.store.read((r) => r.site.record())).head;
    const ack = { through, rows: [{ key, position }], verified: null };
    await site.store.acknowledgements.take(zurich, {
      ...ack,
      rejected: [{ key, position, code: "row_hash_wrong" }],
    });
    held.resolve({ [zurich]: true });
    edition.holding = async () => ({ [zurich]: true });
    await edit(vault, other, "b");
    await expect.poll(() => edition.waits.length).toBeGreaterThan(1);
    expect(await olderOf(vault)).toHaveLength(1);
    await site.store.acknowledgements.take(zurich, {
      ...ack,
      through: (await site.store.read((r) => r.site.record())).head,
      rejected: [],
    });
    await edit(vault, other, "c");
    await expect.poll(() => olderOf(vault)).toEqual([]);
    await site.store.transact((tx) => tx.replication.configurePeers([]));
  });
});
