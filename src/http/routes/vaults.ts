import type { AccessBody } from "../../core/access.ts";
import { newUuidV7, type VaultId } from "../../core/ids.ts";
import { createVault, deleteVault, renameVault, requireVault, vaultKey } from "../../core/vault.ts";
import { formatToken, newToken, verifierOf } from "../../crypto/token.ts";
import type { DeletedVaultAnswer, NewVaultAnswer, VaultListAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import { newVaultSchema, vaultPatchSchema } from "../../protocol/vault-requests.ts";
import { accessIdOf } from "../authentication.ts";
import type { AccessPrincipal, Call, Handlers, HttpContext, WriteAnswer } from "../call.ts";
import { commitRow } from "../commit.ts";
import { vaultAnswer } from "../row-answers.ts";
import { finishDeletions } from "../vault-deletion.ts";

type VaultRoutes = Pick<Handlers, "createVault" | "listVaults" | "getVault" | "renameVault" | "deleteVault">;

export function vaultRoutes(context: HttpContext): VaultRoutes {
  const { store } = context;
  return {
    createVault: ({ body }) => create(context, check(newVaultSchema, body).name),
    listVaults: async () => {
      const vaults = await store.vaults();
      const shown = vaults.map(({ row, entries }) => ({
        ...vaultAnswer(row.key.vaultId, requireVault(row)),
        entries,
      }));
      const body: VaultListAnswer = { vaults: shown };
      return { status: 200, body };
    },
    getVault: async ({ principal: { vaultId } }) => {
      const row = requireVault(await store.row(vaultKey(vaultId)));
      return { status: 200, body: vaultAnswer(vaultId, row), tagged: row };
    },
    renameVault: (call) => rename(context, call),
    deleteVault: (call) => remove(context, call),
  };
}

async function create({ store, clock, random }: HttpContext, name: string): Promise<WriteAnswer> {
  const now = clock.now();
  const vaultId = newUuidV7(now, random) as VaultId;
  const token = newToken("vault", random);
  const verifier = Buffer.from(verifierOf(token)).toString("hex");
  const owner: AccessBody = {
    kind: "machine",
    name: "owner",
    scope: "owner",
    verifier,
    createdAt: now,
    expiresAt: null,
  };
  const vault = { name, createdAt: now, updatedAt: now };
  const [made, access] = await store.write(createVault(vaultId, vault, accessIdOf(token), owner));
  const tagged = requireVault(made);
  const body: NewVaultAnswer = { ...vaultAnswer(vaultId, tagged), token: formatToken(token) };
  const location = `/api/vaults/${vaultId}`;
  return { status: 201, body, tagged, row: access ?? tagged, isChanged: true, location };
}

async function rename(
  { store, clock }: HttpContext,
  { principal: { vaultId }, body, match }: Call<AccessPrincipal>,
): Promise<WriteAnswer> {
  const { name } = check(vaultPatchSchema, body);
  const committed = await commitRow(store, renameVault(vaultId, name, match, clock.now()));
  const row = requireVault(committed.row);
  return { status: 200, body: vaultAnswer(vaultId, row), tagged: row, row, isChanged: committed.isChanged };
}

async function remove(
  { store, clock, edition, closing }: HttpContext,
  { principal: { vaultId, accessId }, match }: Call<AccessPrincipal>,
): Promise<WriteAnswer> {
  const { row } = await commitRow(store, deleteVault(vaultId, accessId, match));
  const onCommit = () => edition.signalReplication();
  onCommit();
  const last = (await finishDeletions({ store, clock, onCommit, signal: closing })) ?? row;
  if (last === undefined) throw new Error("a deletion has changed nothing");
  const body: Omit<DeletedVaultAnswer, "replication"> = { vault_id: vaultId, deleted: true };
  return { status: 200, body, row: last, isChanged: true };
}
