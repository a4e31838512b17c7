import { addAccess, changeKey, revokeAccess } from "../../core/access-writes.ts";
import { Refusal } from "../../core/errors.ts";
import { type AccessId, isUuid, type VaultId } from "../../core/ids.ts";
import type { StoredRow } from "../../core/row.ts";
import { accessKey } from "../../core/vault.ts";
import { AccessSecret } from "../../crypto/access-secret.ts";
import { VaultSeal } from "../../crypto/entry-seal.ts";
import { formatToken, newToken } from "../../crypto/token.ts";
import { VaultKey } from "../../crypto/vault-key.ts";
import { type NewAccessRequest, newAccessSchema, revokeQuerySchema } from "../../protocol/access-requests.ts";
import type {
  AccessListAnswer,
  KeyChangeAnswer,
  NewAccessAnswer,
  RevokedAccessAnswer,
} from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import { type ListedAccess, readAccesses, seenOf, stateOf } from "../access-list.ts";
import type {
  AccessPrincipal,
  Answer,
  Call,
  Handlers,
  HttpContext,
  WriteAnswer,
  WriteCall,
} from "../call.ts";
import { commitOpened, commitRow } from "../commit.ts";
import { prepareKeyChange } from "../key-change.ts";
import { makeAccess } from "../new-access.ts";
import { newPersonSecret } from "../people/person-secret.ts";
import { holdingWithin } from "../replication-wait.ts";
import { accessAnswer, timeOrNull } from "../row-answers.ts";
import { olderKeys } from "../vault-opening.ts";

type AccessRoutes = Pick<Handlers, "createAccess" | "listAccesses" | "revokeAccess" | "changeVaultKey">;
type AccessCall = Call<AccessPrincipal>;
type AccessWriteCall = WriteCall<AccessPrincipal>;

/** A change of the key makes a link for each, and all of them lie in one row (docs/adr/0015). */
const accessesMax = 1_000;

/** How long a revocation waits for the backups before it names those that have not followed. */
const followMs = 10_000;

export function accessRoutes(context: HttpContext): AccessRoutes {
  return {
    createAccess: (call) => create(context, call),
    listAccesses: (call) => list(context, call),
    revokeAccess: (call) => revoke(context, call),
    changeVaultKey: (call) => rotate(context, call),
  };
}

/** The secret of a new access, and what of it is shown, this once. */
export type NewSecret = {
  readonly secret: AccessSecret;
  readonly name: string;
  readonly passphrase: Parameters<typeof makeAccess>[0]["passphrase"];
  readonly shown: { readonly token?: string; readonly passphrase?: string };
};

async function create(context: HttpContext, call: AccessWriteCall): Promise<WriteAnswer> {
  const { store, clock } = context;
  const request = check(newAccessSchema, call.body);
  const now = clock.now();
  if (request.expires_at !== null && request.expires_at <= now) {
    const message = "must be in the future";
    throw new Refusal("invalid_request", undefined, [{ path: "expires_at", message }]);
  }
  const { vaultId, vault } = call.principal;
  if ((await readAccesses(store, vaultId)).length >= accessesMax) throw new Refusal("access_limit");
  const { secret, name, passphrase, shown } = await newSecret(context, call, request);
  try {
    return await commitOpened(vault, async ({ key }, asCaller) => {
      const plan = { vaultId, name, scope: request.scope, expiresAt: request.expires_at, passphrase, now };
      const made = await makeAccess(plan, secret, key);
      const write = asCaller(addAccess(vaultId, made, key.id, now));
      const { last } = await commitRow(context, call.record, write, accessKey(vaultId, made.accessId));
      const body: NewAccessAnswer = { ...accessAnswer(made), ...shown };
      return { status: 201, body, row: required(last), isChanged: true };
    });
  } finally {
    secret[Symbol.dispose]();
  }
}

async function newSecret(
  context: HttpContext,
  call: AccessCall,
  request: NewAccessRequest,
): Promise<NewSecret> {
  if (request.kind === "person") return await newPersonSecret(context, call, request);
  const token = newToken("vault", context.random);
  const secret = AccessSecret.ofToken(token);
  return { secret, name: request.name, passphrase: null, shown: { token: formatToken(token) } };
}

async function list({ store }: HttpContext, { principal }: AccessCall): Promise<Answer> {
  const { vaultId, vault } = principal;
  const accesses = await readAccesses(store, vaultId);
  const uses = await store.uses.last(vaultId);
  const blocked = new Set((await store.read((r) => r.accesses.blocked())).map(({ accessId }) => accessId));
  const body: AccessListAnswer = {
    accesses: accesses.map((each) => ({
      ...accessAnswer(each),
      last_used_at: timeOrNull(uses.get(each.accessId) ?? null),
      state: stateOf(vault.open, each),
      blocked: blocked.has(each.accessId),
    })),
  };
  return { status: 200, body };
}

async function revoke(context: HttpContext, call: AccessWriteCall): Promise<WriteAnswer> {
  const { keep_key: isKeyKept } = check(revokeQuerySchema, call.query);
  const accessId = call.params.accessId ?? "";
  if (!isUuid(accessId)) throw new Refusal("access_unknown");
  const revoked = accessId as AccessId;
  const row = isKeyKept
    ? await endAccess(context, call, revoked)
    : (await replaceKey(context, call, revoked)).row;
  const body = { access_id: revoked, revoked: true, key_changed: !isKeyKept, still_opens: stillOpens };
  const finish = async (): Promise<Pick<RevokedAccessAnswer, "honoured_by">> => {
    await context.store.erasure.eraseRemains();
    const holding = await holdingWithin(context, row.position, followMs);
    return { honoured_by: Object.keys(holding).filter((site) => holding[site as never] === false) };
  };
  return { status: 200, body, row, isChanged: true, finish };
}

const stillOpens =
  "Whoever had this access and a copy of a disk, a snapshot or the traffic between two sites from before can still open what was in the vault then.";

async function endAccess(
  context: HttpContext,
  { principal, record }: AccessWriteCall,
  accessId: AccessId,
): Promise<StoredRow> {
  const { vaultId, vault } = principal;
  return await commitOpened(vault, async (open, asCaller) => {
    const seen = seenOf(open, await readAccesses(context.store, vaultId));
    const write = asCaller(revokeAccess(vaultId, accessId, seen));
    return required((await commitRow(context, record, write, accessKey(vaultId, accessId))).last);
  });
}

async function rotate(context: HttpContext, call: AccessWriteCall): Promise<WriteAnswer> {
  const { vaultId } = call.principal;
  const { row, notLinked } = await replaceKey(context, call, null);
  const body: Omit<KeyChangeAnswer, "replication"> = {
    vault_id: vaultId,
    key_changed: true,
    not_linked: notLinked.map(({ accessId }) => accessId),
  };
  return { status: 200, body, row, isChanged: true };
}

type Replaced = { readonly row: StoredRow; readonly notLinked: readonly ListedAccess[] };

/** Changes the vault's key in one write, and begins to seal what is in it anew. */
async function replaceKey(
  context: HttpContext,
  { principal, record }: AccessWriteCall,
  revoked: AccessId | null,
): Promise<Replaced> {
  const { store, random, clock } = context;
  const { vaultId, vault } = principal;
  const replaced = await commitOpened(vault, async (open) => {
    const next = VaultKey.generate(random);
    try {
      const accesses = await readAccesses(store, vaultId);
      const plan = { next, revoked, now: clock.now() };
      const { change, notLinked } = await prepareKeyChange(vault, accesses, plan);
      const changed = await context.commit(record, changeKey(change));
      tellForged(
        context,
        vaultId,
        notLinked.filter((access) => stateOf(open, access) === "forged"),
      );
      context.resealing.begin(sealAfter(context, open, next));
      return { row: required(changed.at(-1)), notLinked };
    } finally {
      next[Symbol.dispose]();
    }
  });
  // What follows this request begins from the vault as it is now.
  if (revoked !== principal.accessId) await vault.reopen();
  return replaced;
}

/** The vault's keys after a change, for the work that follows: copies, which it zeroes. */
function sealAfter(
  { random }: HttpContext,
  { vaultId, vault, key }: VaultSessionKeys,
  next: VaultKey,
): VaultSeal {
  const older = olderKeys(vaultId, vault, key);
  const current = VaultKey.of(next.bytes);
  return new VaultSeal({ vaultId, current, older: [...older, VaultKey.of(key.bytes)], random });
}

type VaultSessionKeys = Pick<AccessPrincipal["vault"]["open"], "vaultId" | "vault" | "key">;

function tellForged({ edition }: HttpContext, vaultId: VaultId, forged: readonly ListedAccess[]): void {
  for (const { accessId } of forged) {
    const details = { vault_id: vaultId, access_id: accessId };
    edition.alertOperator("access_forged", "An access was changed without the vault's key", details);
  }
}

function required(row: StoredRow | undefined): StoredRow {
  if (row === undefined) throw new Error("a change of an access has left no row");
  return row;
}
