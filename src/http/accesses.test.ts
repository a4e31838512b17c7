import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite } from "../../test/support/http-site.ts";
import { decodeAccess, encodeAccess } from "../core/access.ts";
import type { AccessId, SiteName, VaultId } from "../core/ids.ts";
import { readSealedHeader } from "../core/sealed-header.ts";
import { accessKey, decodeVault, vaultKey } from "../core/vault.ts";
import { parseToken } from "../crypto/token.ts";
import { accessIdOf } from "./authentication.ts";

let site: HttpSite;
beforeAll(async () => {
  site = await openHttpSite();
});
afterAll(() => site.close());

type Vault = Awaited<ReturnType<HttpSite["createVault"]>>;

function idOf(token: string): AccessId {
  const parsed = parseToken(token);
  if (parsed === undefined) throw new Error("no token");
  return accessIdOf(parsed);
}

async function addMachine(vault: Vault, scope: string, more: object = {}): Promise<string> {
  const body = { kind: "machine", name: scope, scope, ...more };
  const { status, json } = await site.call(`POST ${vault.path}/access`, { token: vault.token, body });
  expect(status).toBe(201);
  return String(json["token"]);
}

async function addEntry(vault: Vault, title = "a"): Promise<string> {
  const body = { type: "note", title };
  const { json } = await site.call(`POST ${vault.path}/entries`, { token: vault.token, body });
  return `${vault.path}/entries/${String(json["entry_id"])}`;
}

async function vaultBody(vault: Vault) {
  const row = await site.store.read((r) => r.rows.row(vaultKey(vault.id as VaultId)));
  return decodeVault(row?.body ?? new Uint8Array(0));
}

async function settled(vault: Vault): Promise<void> {
  await expect
    .poll(async () => {
      const { older, links } = await vaultBody(vault);
      return older.length + links.length;
    })
    .toBe(0);
}

function revoke(vault: Vault, token: string, by = vault.token, query = "") {
  return site.call(`DELETE ${vault.path}/access/${idOf(token)}${query}`, { token: by });
}

async function states(vault: Vault) {
  const { json } = await site.call(`GET ${vault.path}/access`, { token: vault.token });
  const listed = json["accesses"] as { access_id: string; state: string }[];
  return new Map(listed.map(({ access_id, state }) => [access_id, state]));
}

describe("an access", () => {
  it("opens its vault with the token that is shown this once, as far as its scope goes", async () => {
    const vault = await site.createVault();
    const entry = await addEntry(vault);
    const reader = await addMachine(vault, "read");
    expect((await site.call(`GET ${entry}`, { token: reader })).json["title"]).toBe("a");
    expect((await site.call(`DELETE ${entry}`, { token: reader })).status).toBe(403);
    const { json } = await site.call(`GET ${vault.path}/access`, { token: vault.token });
    expect(JSON.stringify(json)).not.toContain(reader.slice(37, 80));
    expect(json["accesses"]).toHaveLength(2);
  });

  it("says when it was used last, and listing entries wakes nobody", async () => {
    const vault = await site.createVault();
    const reader = await addMachine(vault, "read");
    const { signals } = site.edition;
    await site.call(`GET ${vault.path}/entries`, { token: reader });
    expect(site.edition.signals).toBe(signals);
    const { json } = await site.call(`GET ${vault.path}/access`, { token: vault.token });
    const listed = json["accesses"] as { access_id: string; last_used_at: string | null }[];
    const used = listed.find(({ access_id }) => access_id === idOf(reader));
    expect(Date.parse(used?.last_used_at ?? "")).toBeGreaterThan(Date.now() - 60_000);
  });

  it.each([
    [{ kind: "machine", scope: "read" }, "name"],
    [{ kind: "machine", name: "a", scope: "admin" }, "scope"],
    [{ kind: "machine", name: "a", scope: "read", expires_at: "tomorrow" }, "expires_at"],
    [{ kind: "machine", name: "a", scope: "read", expires_at: "2020-01-01T00:00:00Z" }, "expires_at"],
    [{ kind: "machine", name: "a", scope: "read", passphrase: "x" }, "passphrase"],
    [{ kind: "person", login: "a b", scope: "read" }, "login"],
    [{ kind: "robot" }, "kind"],
  ])("that is asked for as %j is refused by name", async (body, path) => {
    const vault = await site.createVault();
    const { status, json } = await site.call(`POST ${vault.path}/access`, { token: vault.token, body });
    expect([status, json["code"]]).toEqual([400, "invalid_request"]);
    expect(JSON.stringify(json["errors"])).toContain(path);
  });
});

describe("a revocation", () => {
  it("ends the access and seals the vault anew, and everybody else goes on opening it", async () => {
    const vault = await site.createVault();
    const entry = await addEntry(vault);
    await site.call(`PATCH ${entry}`, { token: vault.token, body: { title: "b" } });
    const [reader, other] = [await addMachine(vault, "read"), await addMachine(vault, "write")];
    const before = await vaultBody(vault);
    const { status, json } = await revoke(vault, reader);
    expect([status, json["revoked"], json["key_changed"], json["honoured_by"]]).toEqual([
      200,
      true,
      true,
      [],
    ]);
    expect(String(json["still_opens"])).not.toBe("");
    expect((await site.call(`GET ${entry}`, { token: reader })).status).toBe(401);
    expect((await site.call(`GET ${entry}`, { token: other })).json["title"]).toBe("b");
    expect((await site.call(`GET ${entry}/versions/1`, { token: other })).json["title"]).toBe("a");
    // The absent one keeps its link until it has written.
    expect((await states(vault)).get(idOf(other))).toBe("linked");
    expect((await site.call(`PATCH ${entry}`, { token: other, body: { title: "c" } })).status).toBe(200);
    expect((await states(vault)).get(idOf(other))).toBe("direct");
    await settled(vault);
    const after = await vaultBody(vault);
    expect(after.keyId).not.toBe(before.keyId);
    for (const kind of ["entry", "version"] as const) {
      const rows = await site.store.read((r) => r.rows.vaultRows(vault.id as VaultId, kind, undefined, 100));
      for (const row of rows)
        expect(readSealedHeader(row.body ?? new Uint8Array(0))?.keyId).toBe(after.keyId);
    }
    expect((await site.call(`GET ${entry}`, { token: other })).json["title"]).toBe("c");
  });

  it("can leave the key as it is, and the key can be changed alone", async () => {
    const vault = await site.createVault();
    const reader = await addMachine(vault, "read");
    const { keyId } = await vaultBody(vault);
    const { json } = await revoke(vault, reader, vault.token, "?keep_key=true");
    expect(json["key_changed"]).toBe(false);
    expect((await vaultBody(vault)).keyId).toBe(keyId);
    expect((await site.call(`GET ${vault.path}/entries`, { token: reader })).status).toBe(401);
    const changed = await site.call(`POST ${vault.path}/rotation`, { token: vault.token, body: {} });
    expect([changed.status, changed.json["not_linked"]]).toEqual([200, []]);
    expect((await vaultBody(vault)).keyId).not.toBe(keyId);
  });

  it("never takes the last owner whose access does not expire", async () => {
    const vault = await site.createVault();
    const expires = new Date(Date.now() + 3_600_000).toISOString();
    await addMachine(vault, "owner", { expires_at: expires });
    const { status, json } = await revoke(vault, vault.token);
    expect([status, json["code"]]).toEqual([409, "last_owner"]);
    const second = await addMachine(vault, "owner");
    expect((await revoke(vault, vault.token)).status).toBe(200);
    expect((await site.call(`GET ${vault.path}/entries`, { token: vault.token })).status).toBe(401);
    expect((await site.call(`GET ${vault.path}/entries`, { token: second })).status).toBe(200);
  });

  it("of an access that there is not is refused by name", async () => {
    const vault = await site.createVault();
    const other = await site.createVault();
    for (const id of [idOf(other.token), "somebody"]) {
      const { json } = await site.call(`DELETE ${vault.path}/access/${id}`, { token: vault.token });
      expect(json["code"]).toBe("access_unknown");
    }
  });

  it("names the sites that still honour it", async () => {
    const vault = await site.createVault();
    const reader = await addMachine(vault, "read");
    site.edition.holding = async () => ({ ["zurich" as SiteName]: false, ["bern" as SiteName]: true });
    const { json } = await revoke(vault, reader);
    expect(json["honoured_by"]).toEqual(["zurich"]);
    // Nothing is dropped that a site may still need.
    await site.store.transact((tx) => tx.rows.write({ keys: [], decide: () => [] }));
    expect((await vaultBody(vault)).older).toHaveLength(1);
    site.edition.holding = async () => ({});
  });

  it("may be repeated for many, and one who missed all changes of the key still opens the vault", async () => {
    const vault = await site.createVault();
    const entry = await addEntry(vault);
    const absent = await addMachine(vault, "write");
    for (let count = 0; count < 4; count += 1) {
      expect((await revoke(vault, await addMachine(vault, "read"))).status).toBe(200);
    }
    expect((await site.call(`GET ${entry}`, { token: absent })).json["title"]).toBe("a");
    expect((await site.call(`PATCH ${entry}`, { token: absent, body: { title: "b" } })).status).toBe(200);
    expect((await states(vault)).get(idOf(absent))).toBe("direct");
  });

  it("loses no write that is under way, and none is sealed under a key that is gone", async () => {
    const vault = await site.createVault();
    const entries = await Promise.all(Array.from({ length: 8 }, () => addEntry(vault)));
    const writer = await addMachine(vault, "write");
    const readers = await Promise.all(Array.from({ length: 3 }, () => addMachine(vault, "read")));
    const edits = entries.flatMap((entry, index) =>
      [1, 2, 3].map((round) =>
        site.call(`PATCH ${entry}`, { token: writer, body: { notes: `${index}.${round}` } }),
      ),
    );
    const revoked = readers.map((reader) => revoke(vault, reader));
    for (const { status, json } of await Promise.all(edits))
      expect([status, json["code"]]).toEqual([200, undefined]);
    for (const { status } of await Promise.all(revoked)) expect(status).toBe(200);
    for (const [index, entry] of entries.entries()) {
      const { json } = await site.call(`GET ${entry}`, { token: writer });
      expect(json["version"]).toBe(4);
      expect(String(json["notes"])).toMatch(new RegExp(`^${index}\\.`));
    }
    await site.call(`PATCH ${entries[0]}`, { token: writer, body: { notes: "" } });
    await site.call(`PATCH ${entries[0]}`, { token: vault.token, body: { notes: "last" } });
    await settled(vault);
  });
});

describe("an access's row that was changed without the vault's key", () => {
  async function forged(
    change: (access: ReturnType<typeof decodeAccess>) => ReturnType<typeof decodeAccess>,
  ) {
    const vault = await site.createVault();
    const reader = await addMachine(vault, "read");
    const key = accessKey(vault.id as VaultId, idOf(reader));
    await site.store.transact((tx) =>
      tx.rows.write({
        keys: [key],
        decide: ([row]) => [
          { key, body: encodeAccess(change(decodeAccess(row?.body ?? new Uint8Array(0)))) },
        ],
      }),
    );
    return { vault, reader };
  }

  it.each([
    ["scope", (access: ReturnType<typeof decodeAccess>) => ({ ...access, scope: "owner" as const })],
    ["expiry", (access: ReturnType<typeof decodeAccess>) => ({ ...access, expiresAt: Date.now() + 1e9 })],
    [
      "public key",
      (access: ReturnType<typeof decodeAccess>) => ({ ...access, publicKey: new Uint8Array(32) }),
    ],
    ["kind", (access: ReturnType<typeof decodeAccess>) => ({ ...access, kind: "person" as const })],
    [
      "slot",
      (access: ReturnType<typeof decodeAccess>) => ({
        ...access,
        slot: { ...access.slot, sealed: access.slot.sealed.map((byte) => byte ^ 1) },
      }),
    ],
  ])("opens nothing, whatever of it was changed (%s), and the operator is told", async (_, change) => {
    const { vault, reader } = await forged(change);
    const { status, json } = await site.call(`GET ${vault.path}/entries`, { token: reader });
    expect([status, json["code"]]).toEqual([403, "access_forged"]);
    expect(site.edition.alerts.at(-1)?.event).toBe("access_forged");
  });

  it("is given no new key: a planted public key gets nothing", async () => {
    const { vault, reader } = await forged((access) => ({
      ...access,
      publicKey: new Uint8Array(32).fill(9),
    }));
    expect((await states(vault)).get(idOf(reader))).toBe("forged");
    const { json } = await site.call(`POST ${vault.path}/rotation`, { token: vault.token, body: {} });
    expect(json["not_linked"]).toEqual([idOf(reader)]);
    expect((await vaultBody(vault)).links.map(({ accessId }) => accessId)).not.toContain(idOf(reader));
    expect((await site.call(`GET ${vault.path}/entries`, { token: reader })).status).toBe(401);
  });
});

describe("a new vault", () => {
  it("comes with a recovery access where one is asked for, which opens it too", async () => {
    const body = { name: "Family", recovery: true };
    const { json } = await site.call("POST /api/vaults", { token: site.operator, body });
    const { token } = json["recovery"] as { token: string };
    const path = `/api/vaults/${String(json["vault_id"])}`;
    expect((await site.call(`GET ${path}/entries`, { token })).status).toBe(200);
    expect((await revoke({ path, token, id: "" }, String(json["token"]))).status).toBe(200);
  });
});
