import type { PassphraseParameters } from "../../core/access.ts";
import { Refusal } from "../../core/errors.ts";
import { type AccessId, type VaultId } from "../../core/ids.ts";
import { isLive } from "../../core/row.ts";
import { accessKey } from "../../core/vault.ts";
import { AccessSecret } from "../../crypto/access-secret.ts";
import { newPassphrase } from "../../crypto/new-passphrase.ts";
import { type Login, loginAccessIds, newParameters, parseLogin } from "../../crypto/passphrase.ts";
import { refuseWeakPassphrase } from "../../crypto/passphrase-strength.ts";
import type { NewAccessRequest } from "../../protocol/access-requests.ts";
import type { AccessPrincipal, Call, HttpContext } from "../call.ts";
import type { NewSecret } from "../routes/accesses.ts";
import { originKey } from "./client-address.ts";
import { accessesOfLogin } from "./person-accesses.ts";

type PersonRequest = Extract<NewAccessRequest, { kind: "person" }>;

/**
 * The secret of a person's new access. A passphrase that is made here is shown once. One that the person has already, for another
 * vault, is taken over with its salt, so that one login opens both; any other is new, and has to be hard to guess.
 * @throws Refusal `access_exists`, `passphrase_weak`, `login_failed` where the login is somebody's and the passphrase is not
 */
export async function newPersonSecret(
  context: HttpContext,
  call: Call<AccessPrincipal>,
  request: PersonRequest,
): Promise<NewSecret> {
  const login = parseLogin(request.login);
  if (login === undefined) {
    const message = "must be 1 to 64 of a-z, 0-9 and ._@+-";
    throw new Refusal("invalid_request", undefined, [{ path: "login", message }]);
  }
  const accessId = await freeId(context, call.principal.vaultId, login);
  const passphrase = request.passphrase ?? (await newPassphrase(context.random));
  const parameters = await parametersFor(context, call, { login, chosen: request.passphrase });
  const bytes = await context.people.stretching.stretch(passphrase, parameters, call.signal);
  try {
    const secret = AccessSecret.of(accessId, bytes);
    const shown = request.passphrase === undefined ? { passphrase } : {};
    return { secret, name: login, passphrase: parameters, shown };
  } finally {
    bytes.fill(0);
  }
}

/** The first id of a login that this vault has never seen: what is revoked never comes back. */
async function freeId({ store }: HttpContext, vaultId: VaultId, login: Login): Promise<AccessId> {
  for (const accessId of loginAccessIds(login)) {
    const row = await store.read((r) => r.rows.row(accessKey(vaultId, accessId)));
    if (row === undefined) return accessId;
    if (isLive(row)) break;
  }
  throw new Refusal("access_exists");
}

async function parametersFor(
  context: HttpContext,
  call: Call<AccessPrincipal>,
  { login, chosen }: { readonly login: Login; readonly chosen: string | undefined },
): Promise<PassphraseParameters> {
  const { people, random, isProxy } = context;
  if (chosen === undefined) return newParameters(random);
  if ((await accessesOfLogin(context, login)).length === 0) {
    await refuseWeakPassphrase(chosen, [login]);
    return newParameters(random);
  }
  const request = { login, passphrase: chosen, address: originKey(call, isProxy) };
  const { id, accesses } = await people.logIn(request, call.signal);
  people.sessions.end(id);
  return accesses[0]?.access.passphrase ?? newParameters(random);
}
