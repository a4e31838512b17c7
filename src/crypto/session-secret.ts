import { utf8 } from "../core/bytes.ts";
import type { AccessId } from "../core/ids.ts";
import { AccessSecret } from "./access-secret.ts";
import { newNonce, openBytes, sealBytes } from "./aes-gcm.ts";
import { derive } from "./derive.ts";
import type { Token } from "./token.ts";

const label = utf8("dormouse/v1/session");

/**
 * A person's secret as a session keeps it: sealed under what follows from the session's token, which only the client has. The
 * site's memory alone opens nothing between two requests.
 * @param session a `dml_` token, used for one session
 * @param secret what the passphrase gives, 32 bytes, which the caller zeroes
 */
export function sealSessionSecret(session: Token, secret: Uint8Array): Uint8Array {
  return withKey(session, (key) => sealBytes(key, newNonce(), secret, associatedData(session)));
}

/** The secret for one of the person's accesses, which the caller disposes; undefined where the session is another. */
export function openSessionSecret(
  session: Token,
  sealed: Uint8Array,
  accessId: AccessId,
): AccessSecret | undefined {
  const secret = withKey(session, (key) => openBytes(key, sealed, associatedData(session)));
  if (secret === undefined) return undefined;
  try {
    return AccessSecret.of(accessId, secret);
  } finally {
    secret.fill(0);
  }
}

function withKey<T>({ secret, id }: Token, use: (key: Uint8Array) => T): T {
  const key = derive(secret, id, "dormouse/v1/session");
  try {
    return use(key);
  } finally {
    key.fill(0);
  }
}

function associatedData({ id }: Token): Uint8Array {
  return Buffer.concat([label, id]);
}
