import { createHmac } from "node:crypto";
import type { PassphraseParameters } from "../../core/access.ts";
import { Refusal } from "../../core/errors.ts";
import type { VaultId } from "../../core/ids.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { AccessSecret } from "../../crypto/access-secret.ts";
import { isTaken, type Login, parametersWithSalt } from "../../crypto/passphrase.ts";
import { isSameVerifier } from "../../crypto/token.ts";
import type { PersonSession } from "../call.ts";
import { Attempts } from "./attempts.ts";
import { KeyStretching } from "./key-stretching.ts";
import { accessesOfLogin, personAccesses, type PersonAccess, type PersonStore } from "./person-accesses.ts";
import { Sessions } from "./sessions.ts";

/**
 * Different ways of stretching that one attempt tries. Always so many where none fits, or the time of an answer would tell a login that
 * somebody has from one that nobody has.
 */
const setsTried = 2;

export type PeopleParts = {
  readonly store: PersonStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly stretching?: KeyStretching;
};

export type LoginRequest = {
  readonly login: Login;
  readonly passphrase: string;
  /** Only this vault's access, where other owners use the same login. */
  readonly vaultId?: VaultId | undefined;
  /** Whom to count failures against; undefined for an address that everybody shares. */
  readonly address: string | undefined;
};

export type NewSession = {
  readonly id: string;
  readonly token: string;
  readonly accesses: readonly PersonAccess[];
};

/** Everything at a site that has to do with passphrases: who logs in, who is logged in, and at what cost. */
export class People {
  readonly sessions: Sessions;
  /** For whoever stretches the passphrase of a new access. */
  readonly stretching: KeyStretching;
  readonly attempts: Attempts;
  readonly #store: PersonStore;
  readonly #clock: Clock;
  /** Makes the salts of those who are not there: the same for as long as the process lives, and known to nobody. */
  readonly #saltKey: Uint8Array;

  constructor({ store, clock, random, stretching = new KeyStretching() }: PeopleParts) {
    this.#store = store;
    this.#clock = clock;
    this.#saltKey = random.bytes(32);
    this.sessions = new Sessions({ clock, random });
    this.attempts = new Attempts(clock);
    this.stretching = stretching;
  }

  /**
   * A session for who knows the passphrase of any of a login's accesses.
   * @throws Refusal `login_failed`, in the same words and for the same work whether the login or the passphrase is wrong;
   * `busy`, `shutting_down`; `passphrase_parameters` where nothing but rows with refused ones is left
   */
  async logIn(request: LoginRequest, signal: AbortSignal): Promise<NewSession> {
    const { address, login } = request;
    let areRefused = false;
    const session = await this.attempts.make({ address, login }, signal, async () => {
      const accesses = await this.#candidates(request);
      const taken = accesses.filter(({ access }) => access.passphrase !== null && isTaken(access.passphrase));
      areRefused = taken.length === 0 && accesses.length > 0;
      return await this.#check(request, taken, signal);
    });
    if (session !== undefined) return session;
    throw new Refusal(areRefused ? "passphrase_parameters" : "login_failed");
  }

  /** The accesses that a session's passphrase opens now. */
  async accessesOf({ accessIds, secretOf }: PersonSession): Promise<readonly PersonAccess[]> {
    const accesses = await personAccesses({ store: this.#store, clock: this.#clock }, accessIds);
    return accesses.filter((candidate) => {
      using secret = secretOf(candidate.accessId);
      return isSameVerifier(secret.verifier(), candidate.access.verifier);
    });
  }

  async #candidates({ login, vaultId }: LoginRequest): Promise<readonly PersonAccess[]> {
    const accesses = await accessesOfLogin({ store: this.#store, clock: this.#clock }, login);
    return vaultId === undefined ? accesses : accesses.filter((access) => access.vaultId === vaultId);
  }

  async #check(
    { login, passphrase }: LoginRequest,
    accesses: readonly PersonAccess[],
    signal: AbortSignal,
  ): Promise<NewSession | undefined> {
    for (const set of this.#setsOf(login, accesses)) {
      const secret = await this.stretching.stretch(passphrase, set.parameters, signal);
      try {
        const fitting = set.accesses.filter((access) => fits(access, secret));
        if (fitting.length > 0) return { ...this.sessions.begin(login, secret), accesses: fitting };
      } finally {
        secret.fill(0);
      }
    }
    return undefined;
  }

  /** The oldest first: nobody keeps a person out of a vault by accesses of the same login to vaults of their own. */
  #setsOf(login: Login, accesses: readonly PersonAccess[]): readonly ParameterSet[] {
    const sets = Map.groupBy(accesses, ({ access }) => parametersText(access.passphrase));
    const known = [...sets.values()].slice(0, setsTried).flatMap((group) => {
      const parameters = group[0]?.access.passphrase;
      return parameters ? [{ parameters, accesses: group }] : [];
    });
    const nobodys = Array.from({ length: setsTried - known.length }, (_, number) => ({
      parameters: this.#parametersOfNobody(login, number),
      accesses: [],
    }));
    return [...known, ...nobodys];
  }

  #parametersOfNobody(login: Login, number: number): PassphraseParameters {
    const mac = createHmac("sha256", this.#saltKey).update(`${number} ${login}`);
    const salt = mac.digest().subarray(0, 16);
    return parametersWithSalt(salt);
  }
}

type ParameterSet = {
  readonly parameters: PassphraseParameters;
  readonly accesses: readonly PersonAccess[];
};

function parametersText(parameters: PassphraseParameters | null): string {
  if (parameters === null) return "";
  const { salt, memoryKiB, passes, lanes } = parameters;
  return [Buffer.from(salt).toString("hex"), memoryKiB, passes, lanes].join(" ");
}

function fits({ accessId, access }: PersonAccess, bytes: Uint8Array): boolean {
  using secret = AccessSecret.of(accessId, bytes);
  return isSameVerifier(secret.verifier(), access.verifier);
}
