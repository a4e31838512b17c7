import { Refusal } from "../../core/errors.ts";
import { parseLogin } from "../../crypto/passphrase.ts";
import type { NewSessionAnswer, SessionAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import { newSessionSchema } from "../../protocol/session-requests.ts";
import type { Answer, Call, Handlers, HttpContext, PersonSession } from "../call.ts";
import { originKey } from "../people/client-address.ts";
import type { PersonAccess } from "../people/person-accesses.ts";

type SessionRoutes = Pick<Handlers, "createSession" | "getSession" | "endSession">;
type Context = Pick<HttpContext, "people" | "isProxy" | "keptVaults">;

export function sessionRoutes(context: Context): SessionRoutes {
  const { people } = context;
  return {
    createSession: (call) => create(context, call),
    getSession: async (call) => {
      const session = sessionOf(call);
      const body = sessionAnswer(context, session, await people.accessesOf(session));
      return { status: 200, body };
    },
    endSession: async (call) => {
      const { id } = sessionOf(call);
      people.sessions.end(id);
      context.keptVaults.endSession(id);
      return { status: 200, body: { ended: true } };
    },
  };
}

async function create({ people, isProxy }: Omit<Context, "keptVaults">, call: Call): Promise<Answer> {
  const { login: text, passphrase, vault_id: vaultId } = check(newSessionSchema, call.body);
  const login = parseLogin(text);
  if (login === undefined) throw new Error("a login passed its schema and is none");
  const request = { login, passphrase, vaultId, address: originKey(call, isProxy) };
  const { id, token, accesses } = await people.logIn(request, call.signal);
  const body: NewSessionAnswer = { token, ...sessionAnswer({ people }, { id, login }, accesses) };
  return { status: 201, body, actor: { kind: "session", id: login } };
}

function sessionOf({ principal }: Call): PersonSession {
  if (principal.kind !== "session") throw new Refusal("forbidden");
  return principal.session;
}

function sessionAnswer(
  { people }: Pick<Context, "people">,
  { id, login }: Pick<PersonSession, "id" | "login">,
  accesses: readonly PersonAccess[],
): SessionAnswer {
  const times = people.sessions.times(id);
  if (times === undefined) throw new Refusal("unauthorized");
  return {
    login,
    idle_expires_at: new Date(times.idleExpiresAt).toISOString(),
    expires_at: new Date(times.expiresAt).toISOString(),
    vaults: accesses.map(({ vaultId, vaultName, access }) => ({
      vault_id: vaultId,
      name: vaultName,
      scope: access.scope,
    })),
  };
}
