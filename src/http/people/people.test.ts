import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite } from "../../../test/support/http-site.ts";
import { SeededRandom, VirtualClock } from "../../../test/support/ports.ts";
import { type AccessBody, encodeAccess, type PassphraseParameters } from "../../core/access.ts";
import { toHex, utf8 } from "../../core/bytes.ts";
import { type ErrorCode, Refusal } from "../../core/errors.ts";
import type { AccessId, VaultId } from "../../core/ids.ts";
import { accessKey, buryRows, vaultKey } from "../../core/vault.ts";
import { AccessSecret } from "../../crypto/access-secret.ts";
import { type Login, loginAccessIds, newParameters } from "../../crypto/passphrase.ts";
import { KeyStretching } from "./key-stretching.ts";
import { type LoginRequest, type NewSession, People } from "./people.ts";

const anna = "anna" as Login;
const right = "travesty divided aching glorify jasmine stomp";
const signal = new AbortController().signal;
const [firstId, secondId] = loginAccessIds(anna) as [AccessId, AccessId];

/** Costs nothing, and is as good as Argon2id at telling passphrases and parameters apart. */
function stretchCheaply(passphrase: string, { salt, memoryKiB }: PassphraseParameters): Uint8Array {
  return new Uint8Array(createHash("sha256").update(salt).update(`${memoryKiB} ${passphrase}`).digest());
}

const random = new SeededRandom(1);
const parameters = newParameters(random);
let site: HttpSite;
let clock: VirtualClock;
let people: People;
/** The parameters of everything that was stretched. */
let stretched: PassphraseParameters[];
let atOnce: { now: number; most: number };

beforeEach(async () => {
  site = await openHttpSite();
  clock = new VirtualClock();
  stretched = [];
  atOnce = { now: 0, most: 0 };
  people = openPeople();
});
afterEach(() => site.close());

function openPeople(): People {
  const stretching = new KeyStretching(async (passphrase, given) => {
    stretched.push(given);
    atOnce.now += 1;
    atOnce.most = Math.max(atOnce.most, atOnce.now);
    await clock.turn();
    atOnce.now -= 1;
    return stretchCheaply(passphrase, given);
  });
  return new People({ store: site.store, clock, random, stretching });
}

type PersonRow = Partial<AccessBody> & { readonly accessId?: AccessId; readonly passphraseText?: string };

/** A vault with an access of anna's, as its row lies on the disk. */
async function addVault(name: string, row: PersonRow = {}): Promise<VaultId> {
  const vaultId = (await site.createVault(name)).id as VaultId;
  await addPerson(vaultId, row);
  return vaultId;
}

async function addPerson(
  vaultId: VaultId,
  { accessId = firstId, passphraseText = right, ...row }: PersonRow,
): Promise<void> {
  const passphrase = row.passphrase ?? parameters;
  using secret = AccessSecret.of(accessId, stretchCheaply(passphraseText, passphrase));
  const body: AccessBody = {
    kind: "person",
    name: anna,
    scope: "write",
    verifier: secret.verifier(),
    publicKey: new Uint8Array(32),
    slot: { keyId: "00" as never, sealed: new Uint8Array(60) },
    mac: new Uint8Array(32),
    passphrase,
    createdAt: 1,
    expiresAt: null,
    ...row,
  };
  const key = accessKey(vaultId, accessId);
  await site.store.transact((tx) =>
    tx.rows.write({ keys: [key], decide: () => [{ key, body: encodeAccess(body) }] }),
  );
}

function logIn(passphrase: string, request: Partial<LoginRequest> = {}): Promise<NewSession> {
  return people.logIn({ login: anna, passphrase, address: "203.0.113.9", ...request }, signal);
}

async function codeOf(login: Promise<unknown>): Promise<ErrorCode | "in"> {
  try {
    await login;
    return "in";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

const namesOf = (session: NewSession) => session.accesses.map(({ vaultName }) => vaultName).sort();

describe("one passphrase", () => {
  it("opens every vault whose access has its salt, for the cost of one", async () => {
    await addVault("Family");
    await addVault("Office");
    expect(namesOf(await logIn(right))).toEqual(["Family", "Office"]);
    expect(stretched).toHaveLength(1);
  });

  it("opens those that it fits and no others", async () => {
    await addVault("Family");
    await addVault("Office", { passphrase: newParameters(random), passphraseText: "another one" });
    expect(namesOf(await logIn(right))).toEqual(["Family"]);
    expect(namesOf(await logIn("another one"))).toEqual(["Office"]);
  });

  it("opens a vault that revoked the person and took them in again, under the next id", async () => {
    const vaultId = await addVault("Family");
    await site.store.transact((tx) => tx.rows.write(buryRows([accessKey(vaultId, firstId)])));
    expect(await codeOf(logIn(right))).toBe("login_failed");
    await addPerson(vaultId, { accessId: secondId });
    await clock.advance(600_000);
    const { accesses } = await logIn(right);
    expect(accesses.map(({ accessId }) => accessId)).toEqual([secondId]);
  });

  it("is tried against two salts at most, the oldest first; a vault that is named is the only one tried", async () => {
    await addVault("Family", { createdAt: 1 });
    for (const createdAt of [2, 3]) {
      await addVault(`Planted ${createdAt}`, {
        createdAt,
        passphrase: newParameters(random),
        passphraseText: "x",
      });
    }
    const last = await addVault("Last", { createdAt: 4, passphrase: newParameters(random) });
    expect(namesOf(await logIn(right))).toEqual(["Family"]);
    stretched = [];
    expect(await codeOf(logIn("wrong"))).toBe("login_failed");
    expect(stretched).toHaveLength(2);
    await clock.advance(600_000);
    expect(namesOf(await logIn(right, { vaultId: last }))).toEqual(["Last"]);
  });
});

describe("nobody gets in", () => {
  it.each<[string, PersonRow]>([
    ["has expired", { expiresAt: Date.UTC(2025, 0, 1) }],
    ["is a machine's", { kind: "machine", passphrase: null }],
    ["has another verifier", { verifier: new Uint8Array(32) }],
  ])("by an access that %s", async (_, row) => {
    await addVault("Family", row);
    expect(await codeOf(logIn(right))).toBe("login_failed");
    expect(stretched).toHaveLength(2);
  });

  it("to a vault that is deleted, or by an access that this site blocks", async () => {
    const vaultId = await addVault("Family");
    await site.store.transact((tx) => tx.accesses.block(firstId));
    expect(await codeOf(logIn(right))).toBe("login_failed");
    await site.store.transact((tx) => tx.accesses.unblock(firstId));
    await site.store.transact((tx) => tx.rows.write(buryRows([vaultKey(vaultId)])));
    await clock.advance(600_000);
    expect(await codeOf(logIn(right))).toBe("login_failed");
  });

  it("by parameters that are weaker or dearer than is taken, which are named", async () => {
    const weak = { ...parameters, memoryKiB: 8 };
    await addVault("Family", { passphrase: weak });
    expect(await codeOf(logIn(right))).toBe("passphrase_parameters");
    // The work is that of any other login.
    expect(stretched.map(({ memoryKiB }) => memoryKiB)).toEqual([65_536, 65_536]);
  });

  it("and no planted access keeps a person out of the other vaults", async () => {
    await addVault("Planted", { createdAt: 0, passphrase: { ...parameters, memoryKiB: 1_048_576 } });
    await addVault("Family");
    expect(namesOf(await logIn(right))).toEqual(["Family"]);
  });
});

describe("an unknown login", () => {
  it.each([1, 2, 3])(
    "costs what a wrong passphrase costs, and gets the same words, at %i salts of that",
    async (salts) => {
      for (let i = 0; i < salts; i += 1) await addVault(`Vault ${i}`, { passphrase: newParameters(random) });
      const unknown = logIn(right, { login: "nobody" as Login, address: "198.51.100.1" });
      await expect(unknown).rejects.toThrow(new Refusal("login_failed"));
      const ofNobody = stretched.splice(0);
      await expect(logIn("wrong")).rejects.toThrow(new Refusal("login_failed"));
      const costsOf = (made: typeof stretched) =>
        made.map(({ salt, ...cost }) => ({ ...cost, bytes: salt.length }));
      expect(costsOf(stretched)).toEqual(costsOf(ofNobody));
      expect(new Set(ofNobody.map(({ salt }) => Buffer.from(salt).toString("hex"))).size).toBe(2);
    },
  );

  it("is slowed down as a known one is", async () => {
    await addVault("Family");
    const delays: Record<string, number[]> = { anna: [], nobody: [] };
    for (const [login, seen] of Object.entries(delays)) {
      for (let i = 0; i < 5; i += 1) {
        const attempt = codeOf(logIn("wrong", { login: login as Login, address: `${login}-${i}` }));
        seen.push(clock.nextWakeMs ?? 0);
        await clock.advance(clock.nextWakeMs ?? 0);
        expect(await attempt).toBe("login_failed");
      }
    }
    expect(delays.anna).toEqual([0, 500, 1_000, 2_000, 4_000]);
    expect(delays.nobody).toEqual(delays.anna);
  });

  it("has one salt for as long as the site runs, another than other logins, and another after a restart", async () => {
    const salts: string[] = [];
    for (const [login, at] of [
      ["a", people],
      ["a", people],
      ["b", people],
      ["a", openPeople()],
    ] as const) {
      const request = { login: login as Login, passphrase: "x", address: undefined };
      const attempt = codeOf(at.logIn(request, signal));
      await clock.advance(10_000);
      await attempt;
      salts.push(toHex(stretched.at(-1)?.salt ?? utf8("")));
    }
    expect(salts[0]).toBe(salts[1]);
    expect(new Set(salts).size).toBe(3);
  });
});

describe("a flood of wrong logins", () => {
  it("from one address keeps nobody out: the right passphrase from elsewhere is in at once", async () => {
    await addVault("Family");
    const flood = Array.from({ length: 100 }, (_, i) =>
      codeOf(logIn("wrong", { login: `login-${i}` as Login })),
    );
    expect(await codeOf(logIn(right, { address: "198.51.100.1" }))).toBe("in");
    await clock.advance(10_000);
    const codes = await Promise.all(flood);
    expect(codes.filter((code) => code === "busy")).toHaveLength(96);
    expect(atOnce.most).toBe(2);
  });

  it("at one login from everywhere delays the right passphrase by 10 s and no more", async () => {
    await addVault("Family");
    for (let i = 0; i < 100; i += 1) {
      const attempt = codeOf(logIn("wrong", { address: `address-${i}` }));
      await clock.advance(10_000);
      expect(await attempt).toBe("login_failed");
    }
    const begun = clock.monotonicMs();
    const home = codeOf(logIn(right, { address: "198.51.100.1" }));
    expect(clock.nextWakeMs).toBe(10_000);
    await clock.advance(10_000);
    expect(await home).toBe("in");
    expect(clock.monotonicMs() - begun).toBe(10_000);
    expect(clock.sleeping).toBe(0);
    expect(people.attempts.size).toBeLessThanOrEqual(101);
  });
});

it("a session lists what its passphrase opens now", async () => {
  await addVault("Family");
  const { token } = await logIn(right);
  await addVault("Office");
  await addVault("Hers not", { passphrase: newParameters(random) });
  await addVault("Other secret", { passphraseText: "another" });
  const session = people.sessions.open(token);
  const namesNow = async () =>
    session && (await people.accessesOf(session)).map(({ vaultName }) => vaultName);
  expect((await namesNow())?.toSorted()).toEqual(["Family", "Office"]);
  await site.store.transact((tx) => tx.accesses.block(firstId));
  expect(await namesNow()).toEqual([]);
});
