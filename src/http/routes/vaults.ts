import { newUuidV7, type VaultId } from "../../core/ids.ts";
import {
  createVault,
  deleteVault,
  type NewAccess,
  renameVault,
  requireVault,
  vaultKey,
} from "../../core/vault.ts";
import { AccessSecret } from "../../crypto/access-secret.ts";
import { formatToken, newToken } from "../../crypto/token.ts";
import { VaultKey } from "../../crypto/vault-key.ts";
import type { DeletedVaultAnswer, NewVaultAnswer, VaultListAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import { type NewVault, newVaultSchema, vaultPatchSchema } from "../../protocol/vault-requests.ts";
import type { WriteRecord } from "../audit-calls.ts";
import type { AccessPrincipal, Handlers, HttpContext, WriteAnswer, WriteCall } from "../call.ts";
import { commitOpened, commitRow } from "../commit.ts";
import { makeAccess } from "../new-access.ts";
import { vaultAnswer } from "../row-answers.ts";

type VaultRoutes = Pick<Handlers, "createVault" | "listVaults" | "getVault" | "renameVault" | "deleteVault">;

export function vaultRoutes(context: HttpContext): VaultRoutes {
  const { store } = context;
  return {
    createVault: ({ body, record }) => create(context, record, check(newVaultSchema, body)),
    listVaults: async () => {
      const vaults = await store.read((r) => r.rows.vaults());
      const shown = vaults.map(({ row, entries }) => ({
        ...vaultAnswer(row.key.vaultId, requireVault(row)),
        entries,
      }));
      const body: VaultListAnswer = { vaults: shown };
      return { status: 200, body };
    },
    getVault: async ({ principal: { vaultId } }) => {
      const row = requireVault(await store.read((r) => r.rows.row(vaultKey(vaultId))));
      return { status: 200, body: vaultAnswer(vaultId, row), tagged: row };
    },
    renameVault: (call) => rename(context, call),
    deleteVault: (call) => remove(context, call),
  };
}

async function create(
  { commit, clock, random }: HttpContext,
  record: WriteRecord,
  { name, recovery }: NewVault,
): Promise<WriteAnswer> {
  const now = clock.now();
  const vaultId = newUuidV7(now, random) as VaultId;
  using key = VaultKey.generate(random);
  const owners = [await newOwner("owner"), ...(recovery ? [await newOwner("recovery")] : [])];
  const vault = { name, createdAt: now, updatedAt: now, keyId: key.id, older: [], links: [] };
  const rows = await commit(record, createVault(vaultId, vault, owners));
  const tagged = requireVault(rows[0]);
  const [owner, kept] = owners.map(({ accessId, token }) => ({ access_id: accessId, token }));
  if (owner === undefined) throw new Error("a vault was made without an owner");
  const body: NewVaultAnswer = {
    ...vaultAnswer(vaultId, tagged),
    ...owner,
    ...(kept !== undefined && { recovery: kept }),
  };
  const location = `/api/vaults/${vaultId}`;
  return { status: 201, body, tagged, row: rows.at(-1) ?? tagged, isChanged: true, location };

  async function newOwner(label: string): Promise<NewAccess & { readonly token: string }> {
    const token = newToken("vault", random);
    using secret = AccessSecret.ofToken(token);
    const plan = { vaultId, name: label, scope: "owner", expiresAt: null, passphrase: null, now } as const;
    return { ...(await makeAccess(plan, secret, key)), token: formatToken(token) };
  }
}

async function rename(
  context: HttpContext,
  { principal: { vaultId, vault }, body, match, record }: WriteCall<AccessPrincipal>,
): Promise<WriteAnswer> {
  const { name } = check(vaultPatchSchema, body);
  const write = renameVault(vaultId, name, match, context.clock.now());
  const key = vaultKey(vaultId);
  const committed = await commitOpened(vault, (_, asCaller) =>
    commitRow(context, record, asCaller(write), key),
  );
  const row = requireVault(committed.row);
  return { status: 200, body: vaultAnswer(vaultId, row), tagged: row, row, isChanged: committed.isChanged };
}

async function remove(
  context: HttpContext,
  { principal: { vaultId, accessId, vault }, match, record }: WriteCall<AccessPrincipal>,
): Promise<WriteAnswer> {
  const write = deleteVault(vaultId, accessId, match);
  const { row } = await commitOpened(vault, (_, asCaller) =>
    commitRow(context, record, asCaller(write), vaultKey(vaultId)),
  );
  context.edition.signalReplication();
  const last = (await context.finishDeletions()) ?? row;
  if (last === undefined) throw new Error("a deletion has changed nothing");
  const body: Omit<DeletedVaultAnswer, "replication"> = { vault_id: vaultId, deleted: true };
  return {
    status: 200,
    body,
    row: last,
    isChanged: true,
    finish: () => context.store.erasure.eraseRemains(),
  };
}
