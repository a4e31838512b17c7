import type { AdminCommand } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { OperatorToken } from "../core/store/operators.ts";
import type { Transacts } from "../core/store/store.ts";
import { formatToken, formatTokenId, newToken, verifierOf } from "../crypto/token.ts";
import { type NewOperator, type OperatorList, operatorFields } from "../protocol/admin.ts";
import { check } from "../protocol/check.ts";
import { systemClock, systemRandom } from "./system-ports.ts";

type Store = Transacts<"operators">;

/**
 * Lists, makes and ends operators' tokens. Only on the machine itself: whoever has stolen one token must not make himself others.
 */
export function operatorCommand(store: Store): AdminCommand {
  return {
    name: "operator",
    handle: async ({ body }) => {
      const request = check(operatorFields, body);
      switch (request.action) {
        case "list":
          return list(store);
        case "add":
          return add(store, request.label, request.expires_at);
        case "remove":
          if (!(await store.transact((tx) => tx.operators.remove(request.id))))
            throw new Refusal("operator_unknown");
          return list(store);
      }
    },
  };
}

async function list(store: Store): Promise<OperatorList> {
  return { operators: (await store.read((r) => r.operators.all())).map(shown) };
}

async function add(store: Store, label: string, expiresAt: number | null): Promise<NewOperator> {
  const now = systemClock.now();
  if (expiresAt !== null && expiresAt <= now) {
    const message = "must be in the future";
    throw new Refusal("invalid_request", undefined, [{ path: "expires_at", message }]);
  }
  const token = newToken("operator", systemRandom);
  const added = {
    tokenId: formatTokenId(token),
    verifier: verifierOf(token),
    label,
    createdAt: now,
    expiresAt,
  };
  await store.transact((tx) => tx.operators.add(added));
  return { ...shown(added), token: formatToken(token) };
}

function shown({ tokenId, label, createdAt, expiresAt }: OperatorToken): OperatorList["operators"][number] {
  return {
    operator_id: tokenId,
    label,
    created_at: new Date(createdAt).toISOString(),
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
  };
}
