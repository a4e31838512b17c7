import type { LightMyRequestResponse } from "fastify";
import { pino } from "pino";
import { systemClock, systemHash, systemRandom } from "../../src/app/system-ports.ts";
import type { AlertDetails, AlertEvent } from "../../src/core/alert-events.ts";
import type { AdminCommand, Edition, EditionRoute, WriteRefusal } from "../../src/core/edition.ts";
import type { Scope } from "../../src/core/access.ts";
import { addAccess as addAccessWrite } from "../../src/core/access-writes.ts";
import type { SiteName, VaultId } from "../../src/core/ids.ts";
import type { BackupsHolding } from "../../src/core/ports.ts";
import { formatPosition, type Position } from "../../src/core/position.ts";
import type { Role } from "../../src/core/push.ts";
import { AccessSecret } from "../../src/crypto/access-secret.ts";
import { formatToken, formatTokenId, newToken, parseToken, verifierOf } from "../../src/crypto/token.ts";
import { makeAccess } from "../../src/http/new-access.ts";
import { openVault, readVaultRows } from "../../src/http/vault-opening.ts";
import { buildServer } from "../../src/http/server.ts";
import type { ServerOptions } from "../../src/http/server-options.ts";
import { siteImage } from "../../src/store/sqlite/new-site.ts";
import { openMemoryStore } from "../../src/store/sqlite/open.ts";

/** An edition whose every answer a test chooses, and that remembers what it was asked. */
export class ScriptedEdition implements Edition {
  readonly name = "commercial";
  readonly routes: readonly EditionRoute[];
  readonly adminCommands: readonly AdminCommand[] = [];
  signals = 0;
  guard: WriteRefusal | undefined;
  readonly waits: { readonly position: string; readonly ms: number }[] = [];
  holding: (position: Position, ms: number) => Promise<BackupsHolding> = async () => ({});
  readonly peers = new Map<string, SiteName>();

  constructor(routes: readonly EditionRoute[] = []) {
    this.routes = routes;
  }

  signalReplication(): void {
    this.signals += 1;
  }

  readonly alerts: { readonly event: AlertEvent; readonly details: AlertDetails }[] = [];

  alertOperator(event: AlertEvent, _message: string, details: AlertDetails): void {
    this.alerts.push({ event, details });
  }

  peerOf(token: string): SiteName | undefined {
    return this.peers.get(token);
  }

  async writeGuard(): Promise<WriteRefusal | undefined> {
    return this.guard;
  }

  async waitReplicated(position: Position, ms: number): Promise<BackupsHolding> {
    this.waits.push({ position: formatPosition(position), ms });
    return await this.holding(position, ms);
  }

  async start(): Promise<void> {}
  async stop(): Promise<void> {}
}

export type CallOptions = {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

/** What a test reads of an answer. */
export type Answered = {
  readonly status: number;
  readonly headers: LightMyRequestResponse["headers"];
  readonly json: Json;
};
export type Json = { readonly [name: string]: unknown };

export type HttpSiteOptions = Partial<Omit<ServerOptions, "edition">> & {
  readonly role?: Role;
  readonly edition?: ScriptedEdition;
};

/** A site's HTTP API over a real store in memory, with an operator's token. Nothing listens until a test makes it. */
export async function openHttpSite(options: HttpSiteOptions = {}) {
  const { role = "primary", edition = new ScriptedEdition(), ...rest } = options;
  const site = "calgary" as SiteName;
  const ports = { clock: systemClock, random: systemRandom, hash: systemHash };
  const image = siteImage({ site, role, clock: ports.clock, random: ports.random });
  const store = openMemoryStore({ ...ports, image });
  const logged: string[] = [];
  const logger = pino({ level: "debug" }, { write: (line: string) => void logged.push(line) });
  const app = buildServer({ store, edition, ...ports, logger, site, version: "0.0.0", ...rest });
  const operator = await addOperator(null);
  /** Owner tokens by vault. */
  const owners = new Map<string, string>();

  async function call(route: string, { token, body, headers = {} }: CallOptions = {}): Promise<Answered> {
    const [method = "", url = ""] = route.split(" ");
    const response = await app.inject({
      method: method as "GET",
      url,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
      ...(body !== undefined && { payload: body as object }),
    });
    return {
      status: response.statusCode,
      headers: response.headers,
      json: response.body === "" ? {} : response.json(),
    };
  }

  async function createVault(
    name = "Family",
  ): Promise<{ readonly path: string; readonly token: string; readonly id: string }> {
    const { json } = await call("POST /api/vaults", { token: operator, body: { name } });
    const id = String(json["vault_id"]);
    owners.set(id, String(json["token"]));
    return { path: `/api/vaults/${id}`, token: String(json["token"]), id };
  }

  /** A further token of a vault, also one that has expired already, which no call gives out. */
  async function addAccess(vaultId: string, scope: Scope, expiresAt: number | null = null): Promise<string> {
    const made = newToken("vault", ports.random);
    const owner = parseToken(owners.get(vaultId) ?? "");
    if (owner === undefined) throw new Error("the vault was not made here");
    using ownerSecret = AccessSecret.ofToken(owner);
    const rows = await readVaultRows(store, vaultId as VaultId, ownerSecret.accessId);
    using open = rows && (await openVault(rows, ownerSecret, ports.random));
    if (open === undefined) throw new Error("the vault does not open");
    using secret = AccessSecret.ofToken(made);
    const plan = { vaultId: open.vaultId, name: scope, scope, expiresAt, passphrase: null, now: 0 };
    const access = await makeAccess(plan, secret, open.key);
    await store.transact((tx) => tx.rows.write(addAccessWrite(open.vaultId, access, open.key.id, 0)));
    return formatToken(made);
  }

  async function addOperator(expiresAt: number | null): Promise<string> {
    const made = newToken("operator", ports.random);
    const record = { label: "test", createdAt: 0, expiresAt };
    await store.transact((tx) =>
      tx.operators.add({ tokenId: formatTokenId(made), verifier: verifierOf(made), ...record }),
    );
    return formatToken(made);
  }

  async function close(): Promise<void> {
    await app.close();
    await store.close();
  }

  return { app, store, edition, operator, logged, call, createVault, addAccess, addOperator, close };
}

export type HttpSite = Awaited<ReturnType<typeof openHttpSite>>;
