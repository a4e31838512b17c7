import { argon2, hash } from "node:crypto";
import { promisify } from "node:util";
import type { PassphraseParameters } from "../core/access.ts";
import { utf8 } from "../core/bytes.ts";
import { Refusal } from "../core/errors.ts";
import { type AccessId, uuidOfHash } from "../core/ids.ts";
import type { Random } from "../core/ports.ts";

declare const brand: unique symbol;
/** The name that a person logs in by: 1 to 64 of `a-z`, `0-9` and `._@+-`. */
export type Login = string & { readonly [brand]: "Login" };

const loginPattern = /^[A-Za-z0-9._@+-]{1,64}$/;

/** The login that a text is, in lower case, since a keyboard begins with a capital; undefined where it is none. */
export function parseLogin(text: string): Login | undefined {
  return loginPattern.test(text) ? (text.toLowerCase() as Login) : undefined;
}

const personLabel = utf8("dormouse/v1/person");

/** A person whose access was revoked gets the next of these ids: what is revoked never comes back. */
const idsOfLogin = 16;

/**
 * The ids that a person's accesses may have, in the order in which they are taken. They follow from the login, so that they are the
 * same in every vault and at every site: the first from the login alone, the others from it and their number.
 */
export function loginAccessIds(login: Login): readonly AccessId[] {
  return Array.from({ length: idsOfLogin }, (_, number) => {
    const suffix = number === 0 ? [] : [0, number];
    const bytes = Buffer.concat([personLabel, Uint8Array.of(0), utf8(login), Uint8Array.from(suffix)]);
    return uuidOfHash(hash("sha256", bytes, "buffer")) as AccessId;
  });
}

const saltBytes = 16;
const secretBytes = 32;

/** What a passphrase is stretched by where nothing else is said; also the least that is taken. */
const defaults = { memoryKiB: 64 * 1024, passes: 3, lanes: 4 } as const;
/** More than this, planted in a row, would only tire the site out. */
const most = { memoryKiB: 256 * 1024, passes: 10, lanes: 16 } as const;

/** Parameters for a new passphrase, with a salt of its own. */
export function newParameters(random: Random): PassphraseParameters {
  return parametersWithSalt(random.bytes(saltBytes));
}

/** @param salt 16 bytes */
export function parametersWithSalt(salt: Uint8Array): PassphraseParameters {
  return { salt, ...defaults };
}

/** Whether a passphrase is stretched so: neither weaker than the defaults nor at a cost that would only tire the site out. */
export function isTaken({ salt, memoryKiB, passes, lanes }: PassphraseParameters): boolean {
  return (
    salt.length === saltBytes &&
    isBetween(memoryKiB, defaults.memoryKiB, most.memoryKiB) &&
    isBetween(passes, defaults.passes, most.passes) &&
    isBetween(lanes, 1, most.lanes)
  );
}

/** @throws Refusal `passphrase_parameters` for what a row holds and no site of ours has written */
function refuseParameters(parameters: PassphraseParameters): void {
  if (!isTaken(parameters)) throw new Refusal("passphrase_parameters");
}

function isBetween(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

const argon2Async = promisify(argon2);

/**
 * The secret that a passphrase stands for: Argon2id (RFC 9106, version 0x13) over its UTF-8 in normal form NFKC, so that it is the
 * same from every keyboard. 32 bytes, which the caller zeroes. Runs in the thread pool and takes the memory that the parameters
 * name; callers queue for it (`KeyStretching`).
 * @throws Refusal `passphrase_parameters`
 */
export async function stretchPassphrase(
  passphrase: string,
  parameters: PassphraseParameters,
): Promise<Uint8Array> {
  refuseParameters(parameters);
  const { salt, memoryKiB, passes, lanes } = parameters;
  const message = utf8(passphrase.normalize("NFKC"));
  try {
    return await argon2Async("argon2id", {
      message,
      nonce: salt,
      memory: memoryKiB,
      passes,
      parallelism: lanes,
      tagLength: secretBytes,
    });
  } finally {
    message.fill(0);
  }
}
