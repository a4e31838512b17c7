import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite } from "../../test/support/http-site.ts";
import { systemRandom } from "../app/system-ports.ts";
import type { AccessId, VaultId } from "../core/ids.ts";
import { decodeVault, vaultKey } from "../core/vault.ts";
import { newToken, parseToken } from "../crypto/token.ts";
import { accessIdOf } from "./authentication.ts";

/** A request whose headers were checked and whose body is still on its way: what happens meanwhile counts. */

let site: HttpSite;
let port: number;
beforeAll(async () => {
  site = await openHttpSite();
  port = Number(new URL(await site.app.listen({ port: 0, host: "127.0.0.1" })).port);
});
afterAll(() => site.close());

type Vault = Awaited<ReturnType<HttpSite["createVault"]>>;
type Held = { readonly route: string; readonly body: object };

function idOf(token: string): AccessId {
  return accessIdOf(parseToken(token) ?? newToken("vault", systemRandom));
}

/** Sends headers and the first byte of the body, and waits until the token was checked; what it returns sends the rest. */
async function hold(vault: Vault, token: string, { route, body }: Held) {
  const [method, path] = route.split(" ");
  const text = JSON.stringify(body);
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  let answer = "";
  socket.on("data", (chunk) => {
    answer += String(chunk);
  });
  const headers = ["Host: a", `Authorization: Bearer ${token}`, "Content-Type: application/json"];
  const length = [`Content-Length: ${text.length}`, "Connection: close", "", ""];
  socket.write([`${method} ${path} HTTP/1.1`, ...headers, ...length].join("\r\n") + text.slice(0, 1));
  const isChecked = async () => (await site.store.uses.last(vault.id as VaultId)).has(idOf(token));
  await expect.poll(isChecked).toBe(true);
  return async () => {
    socket.write(text.slice(1));
    await once(socket, "close");
    const [head = "", json = "{}"] = answer.split("\r\n\r\n");
    return { status: Number(head.slice(9, 12)), json: JSON.parse(json) as Record<string, unknown> };
  };
}

async function scene() {
  const vault = await site.createVault();
  const { token } = vault;
  const body = { type: "note", title: "a" };
  const { json } = await site.call(`POST ${vault.path}/entries`, { token, body });
  return { vault, entry: `${vault.path}/entries/${String(json["entry_id"])}` };
}

const routes: Readonly<Record<string, (vault: string, entry: string) => Held>> = {
  "a deletion of the vault": (vault) => ({ route: `DELETE ${vault}`, body: {} }),
  "a new name": (vault) => ({ route: `PATCH ${vault}`, body: { name: "taken" } }),
  "a new owner": (vault) => ({
    route: `POST ${vault}/access`,
    body: { kind: "machine", name: "back", scope: "owner" },
  }),
  "a new entry": (vault) => ({ route: `POST ${vault}/entries`, body: { type: "note", title: "x" } }),
  "a purge": (_, entry) => ({ route: `DELETE ${entry}?purge=true`, body: {} }),
  "an edit": (_, entry) => ({ route: `PATCH ${entry}`, body: { title: "x" } }),
  "a search": (vault) => ({ route: `POST ${vault}/entries/search`, body: {} }),
};

describe("a call that was begun before its access ended is refused after it", () => {
  const ends: Readonly<Record<string, (vault: Vault, token: string) => Promise<unknown>>> = {
    "revoked, the key changed": (vault, token) =>
      site.call(`DELETE ${vault.path}/access/${idOf(token)}`, { token: vault.token }),
    "revoked, the key kept": (vault, token) =>
      site.call(`DELETE ${vault.path}/access/${idOf(token)}?keep_key=true`, { token: vault.token }),
    "blocked here": (_, token) => site.store.transact((tx) => tx.accesses.block(idOf(token))),
  };
  const cases = Object.keys(ends).flatMap((end) => Object.keys(routes).map((call) => [end, call] as const));

  it.each(cases)("%s: %s", async (end, call) => {
    const { vault, entry } = await scene();
    const evil = await site.addAccess(vault.id, "owner");
    const held = routes[call]?.(vault.path, entry);
    const finish = await hold(vault, evil, held ?? { route: "", body: {} });
    await ends[end]?.(vault, evil);
    expect((await finish()).status).toBe(401);
    const { json } = await site.call(`GET ${vault.path}/entries`, { token: vault.token });
    expect(json["entries"]).toMatchObject([{ title: "a" }]);
  });
});

describe("a call that was begun before the vault's key was changed, and goes on when all is sealed anew", () => {
  it.each(["an edit", "a search", "a new entry"])("%s does what it would have done", async (call) => {
    const { vault, entry } = await scene();
    const writer = await site.addAccess(vault.id, "write");
    const finish = await hold(vault, writer, routes[call]?.(vault.path, entry) ?? { route: "", body: {} });
    await site.call(`POST ${vault.path}/rotation`, { token: vault.token, body: {} });
    const isResealed = async () => {
      const row = await site.store.read((r) => r.rows.row(vaultKey(vault.id as VaultId)));
      return decodeVault(row?.body ?? new Uint8Array(0)).older.every(({ lastPosition }) => lastPosition);
    };
    await expect.poll(isResealed).toBe(true);
    const { status, json } = await finish();
    expect([200, 201]).toContain(status);
    expect(json["unreadable"] ?? []).toEqual([]);
    expect(site.edition.alerts).toEqual([]);
  });
});
