import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemRandom } from "../app/system-ports.ts";
import { formatUuid, type AccessId, type KeyId, type VaultId } from "../core/ids.ts";
import { anyId, anyKey, flipped } from "../../test/support/sealing.ts";
import { AccessSecret } from "./access-secret.ts";
import { sealLink } from "./key-link.ts";
import { newToken, verifierOf } from "./token.ts";
import { VaultKey } from "./vault-key.ts";

const twoDifferent = <T>(of: fc.Arbitrary<T>) => fc.tuple(of, of).filter(([a, b]) => String(a) !== String(b));

const scene = fc.record({
  vaults: twoDifferent(anyId<VaultId>()),
  accesses: twoDifferent(anyId<AccessId>()),
  secrets: twoDifferent(anyKey),
  keys: twoDifferent(anyKey),
});

/** A secret and keys that are there as long as the test is. */
function sampleScene() {
  const [from, to] = [VaultKey.generate(systemRandom), VaultKey.generate(systemRandom)];
  const secret = AccessSecret.ofToken(newToken("vault", systemRandom));
  return { from, to, secret, vaultId: formatUuid(systemRandom.bytes(16)) as VaultId };
}

describe("an access's secret", () => {
  it("of a token has its id and its verifier, as the same bytes given otherwise have", () => {
    const token = newToken("vault", systemRandom);
    using secret = AccessSecret.ofToken(token);
    using same = AccessSecret.of(secret.accessId, token.secret);
    expect(secret.accessId).toBe(formatUuid(token.id));
    expect(secret.verifier()).toEqual(verifierOf(token));
    expect(same.verifier()).toEqual(verifierOf(token));
  });

  it("has a verifier and a public key that differ with the secret and with the access", async () => {
    await fc.assert(
      fc.asyncProperty(scene, async ({ accesses: [id, otherId], secrets: [bytes, otherBytes] }) => {
        using secret = AccessSecret.of(id, bytes);
        using others = new DisposableStack();
        const wrong = [
          others.use(AccessSecret.of(otherId, bytes)),
          others.use(AccessSecret.of(id, otherBytes)),
        ];
        const publicKey = await secret.publicKey();
        expect(publicKey).toHaveLength(32);
        expect(await secret.publicKey()).toEqual(publicKey);
        for (const other of wrong) {
          expect(other.verifier()).not.toEqual(secret.verifier());
          expect(await other.publicKey()).not.toEqual(publicKey);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("is a copy, and of no use once it was disposed", async () => {
    const bytes = systemRandom.bytes(32);
    const { from, to, secret: sealer, vaultId } = sampleScene();
    const secret = AccessSecret.of(sealer.accessId, bytes);
    const verifier = secret.verifier();
    bytes.fill(0);
    expect(secret.verifier()).toEqual(verifier);
    const slot = secret.sealSlot(from, vaultId);
    secret[Symbol.dispose]();
    secret[Symbol.dispose]();
    expect(() => secret.verifier()).toThrow(/disposed/);
    expect(() => secret.sealSlot(from, vaultId)).toThrow(/disposed/);
    expect(() => secret.openSlot(slot, vaultId, from.id)).toThrow(/disposed/);
    await expect(secret.publicKey()).rejects.toThrow(/disposed/);
    await expect(secret.followLink({ from, to: to.id, sealed: slot }, vaultId)).rejects.toThrow(/disposed/);
    expect(() => AccessSecret.of(sealer.accessId, new Uint8Array(16))).toThrow(/32 bytes/);
  });
});

describe("a slot", () => {
  it("opens with the secret that sealed it, in that vault and under that id alone", () => {
    fc.assert(
      fc.property(scene, ({ vaults: [vaultId, otherVault], accesses, secrets, keys }) => {
        using key = VaultKey.of(keys[0]);
        using otherKey = VaultKey.of(keys[1]);
        using secret = AccessSecret.of(accesses[0], secrets[0]);
        using otherAccess = AccessSecret.of(accesses[1], secrets[0]);
        using otherSecret = AccessSecret.of(accesses[0], secrets[1]);
        const slot = secret.sealSlot(key, vaultId);
        using opened = secret.openSlot(slot, vaultId, key.id);
        expect(new Uint8Array(opened?.bytes ?? [])).toEqual(keys[0]);
        expect(slot).toHaveLength(60);
        expect(otherSecret.openSlot(slot, vaultId, key.id)).toBeUndefined();
        expect(otherAccess.openSlot(slot, vaultId, key.id)).toBeUndefined();
        expect(secret.openSlot(slot, otherVault, key.id)).toBeUndefined();
        expect(secret.openSlot(slot, vaultId, otherKey.id)).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });

  it("with any bit flipped, or cut at any length, does not open", () => {
    const { from: key, secret, vaultId } = sampleScene();
    const slot = secret.sealSlot(key, vaultId);
    for (let bit = 0; bit < slot.length * 8; bit += 1) {
      expect(secret.openSlot(flipped(slot, bit), vaultId, key.id), `bit ${bit}`).toBeUndefined();
    }
    for (let length = 0; length < slot.length; length += 1) {
      expect(secret.openSlot(slot.subarray(0, length), vaultId, key.id)).toBeUndefined();
    }
  });
});

describe("a link", () => {
  it("leads from the one key to the other, for its access in its vault alone", async () => {
    await fc.assert(
      fc.asyncProperty(scene, async ({ vaults: [vaultId, otherVault], accesses, secrets, keys }) => {
        using from = VaultKey.of(keys[0]);
        using to = VaultKey.of(keys[1]);
        using secret = AccessSecret.of(accesses[0], secrets[0]);
        using otherAccess = AccessSecret.of(accesses[1], secrets[0]);
        using otherSecret = AccessSecret.of(accesses[0], secrets[1]);
        const publicKey = await secret.publicKey();
        const sealed = await sealLink({ vaultId, accessId: accesses[0], publicKey, from, to });
        const link = { from, to: to.id, sealed };
        using opened = await secret.followLink(link, vaultId);
        expect(new Uint8Array(opened?.bytes ?? [])).toEqual(keys[1]);
        expect(sealed).toHaveLength(80);
        expect(await otherSecret.followLink(link, vaultId)).toBeUndefined();
        expect(await otherAccess.followLink(link, vaultId)).toBeUndefined();
        expect(await secret.followLink(link, otherVault)).toBeUndefined();
        expect(await secret.followLink({ ...link, from: to }, vaultId)).toBeUndefined();
        expect(await secret.followLink({ ...link, to: from.id }, vaultId)).toBeUndefined();
      }),
      { numRuns: 30 },
    );
  });

  it("that was made without the key of before leads nowhere, though its public key is right", async () => {
    const { from, to, secret, vaultId } = sampleScene();
    using forged = VaultKey.generate(systemRandom);
    const access = { vaultId, accessId: secret.accessId, publicKey: await secret.publicKey() };
    const sealed = await sealLink({ ...access, from: forged, to });
    expect(await secret.followLink({ from, to: to.id, sealed }, vaultId)).toBeUndefined();
  });

  it("to another key than it names leads nowhere", async () => {
    const { from, to, secret, vaultId } = sampleScene();
    const access = { vaultId, accessId: secret.accessId, publicKey: await secret.publicKey() };
    const lying = Object.create(to, {
      id: { value: "00".repeat(16) as KeyId },
      bytes: { value: to.bytes },
    }) as VaultKey;
    const sealed = await sealLink({ ...access, from, to: lying });
    expect(await secret.followLink({ from, to: lying.id, sealed }, vaultId)).toBeUndefined();
  });

  it("with any bit flipped, or cut at any length, leads nowhere", async () => {
    const { from, to, secret, vaultId } = sampleScene();
    const access = { vaultId, accessId: secret.accessId, publicKey: await secret.publicKey() };
    const sealed = await sealLink({ ...access, from, to });
    const follow = (wrong: Uint8Array) => secret.followLink({ from, to: to.id, sealed: wrong }, vaultId);
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      expect(await follow(flipped(sealed, bit)), `bit ${bit}`).toBeUndefined();
    }
    for (let length = 0; length < sealed.length; length += 1) {
      expect(await follow(sealed.subarray(0, length))).toBeUndefined();
    }
    expect(await follow(new Uint8Array(80))).toBeUndefined();
  });
});
