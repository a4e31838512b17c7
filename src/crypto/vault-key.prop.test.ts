import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemRandom } from "../app/system-ports.ts";
import { accessKinds, scopes } from "../core/access.ts";
import { fromHex } from "../core/bytes.ts";
import type { AccessId, KeyId, VaultId } from "../core/ids.ts";
import { anyId, anyKey, flipped, refusalOf } from "../../test/support/sealing.ts";
import { type AccessClaim, claimBytes } from "./access-claim.ts";
import { isSameMac, VaultKey } from "./vault-key.ts";

const twoKeys = fc.tuple(anyKey, anyKey).filter(([a, b]) => Buffer.compare(a, b) !== 0);

describe("a vault key", () => {
  it("is 32 bytes of memory of its own, which what it was made of is not", () => {
    const bytes = systemRandom.bytes(32);
    using key = VaultKey.of(bytes);
    const copy = Uint8Array.from(bytes);
    bytes.fill(0);
    expect(new Uint8Array(key.bytes)).toEqual(copy);
    expect(key.bytes.buffer.byteLength).toBe(32);
    expect(() => VaultKey.of(new Uint8Array(31))).toThrow(/32 bytes/);
  });

  it("is a new one each time it is generated, and what it was made of is zeroed", () => {
    const handed: Uint8Array[] = [];
    const bytes = (count: number) => handed[handed.push(systemRandom.bytes(count)) - 1] ?? new Uint8Array();
    using one = VaultKey.generate({ ...systemRandom, bytes });
    using other = VaultKey.generate({ ...systemRandom, bytes });
    expect(one.id).not.toBe(other.id);
    expect(handed).toEqual([new Uint8Array(32), new Uint8Array(32)]);
  });

  it("has an id that tells nothing else that follows from it", () => {
    fc.assert(
      fc.property(anyKey, (bytes) => {
        using key = VaultKey.of(bytes);
        const exported = key.entryKey.export();
        const shown = [key.bytes, key.psk(), exported].map((of) => Buffer.from(of).toString("hex"));
        expect(new Set(shown).size).toBe(3);
        expect(key.id).toMatch(/^[0-9a-f]{32}$/);
        for (const hex of shown) expect(hex).not.toContain(key.id);
      }),
    );
  });

  it("that was disposed is zeros, with all that was derived, and of no use", () => {
    const key = VaultKey.generate(systemRandom);
    using other = VaultKey.generate(systemRandom);
    const vaultId = "0b2f6a5e-83c1-4d0e-9a77-1f2e3d4c5b6a" as VaultId;
    const sealed = key.sealOlder(other, vaultId);
    const memory = [key.bytes, key.psk()];
    key[Symbol.dispose]();
    key[Symbol.dispose]();
    for (const bytes of memory) expect(new Uint8Array(bytes)).toEqual(new Uint8Array(32));
    const uses = [
      () => key.bytes,
      () => key.entryKey,
      () => key.psk(),
      () => key.sealOlder(other, vaultId),
      () => other.sealOlder(key, vaultId),
      () => key.openOlder(sealed, vaultId, other.id),
    ];
    for (const use of uses) expect(use).toThrow(/disposed/);
  });
});

describe("an older key", () => {
  it("sealed under the current one opens with it as what it was", () => {
    fc.assert(
      fc.property(anyKey, anyKey, anyId<VaultId>(), (older, current, vaultId) => {
        using from = VaultKey.of(older);
        using to = VaultKey.of(current);
        const sealed = to.sealOlder(from, vaultId);
        using opened = to.openOlder(sealed, vaultId, from.id);
        expect(new Uint8Array(opened.bytes)).toEqual(older);
        expect(sealed).toHaveLength(60);
        expect(to.sealOlder(from, vaultId)).not.toEqual(sealed);
      }),
    );
  });

  it("does not open with another key, in another vault, under another id, cut or with any bit flipped", () => {
    fc.assert(
      fc.property(twoKeys, anyId<VaultId>(), anyId<VaultId>(), ([a, b], vaultId, elsewhere) => {
        fc.pre(vaultId !== elsewhere);
        using from = VaultKey.of(a);
        using to = VaultKey.of(b);
        const sealed = to.sealOlder(from, vaultId);
        const attempts = [
          () => from.openOlder(sealed, vaultId, from.id),
          () => to.openOlder(sealed, elsewhere, from.id),
          () => to.openOlder(sealed, vaultId, to.id),
          () => to.openOlder(sealed.subarray(1), vaultId, from.id),
          () => to.openOlder(new Uint8Array(), vaultId, from.id),
        ];
        for (const attempt of attempts) expect(refusalOf(attempt)).toBe("sealed_key_unknown");
      }),
      { numRuns: 30 },
    );
    using from = VaultKey.generate(systemRandom);
    using to = VaultKey.generate(systemRandom);
    const vaultId = "0b2f6a5e-83c1-4d0e-9a77-1f2e3d4c5b6a" as VaultId;
    const sealed = to.sealOlder(from, vaultId);
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const attempt = () => to.openOlder(flipped(sealed, bit), vaultId, from.id);
      expect(refusalOf(attempt)).toBe("sealed_key_unknown");
    }
  });
});

const anyClaim: fc.Arbitrary<AccessClaim> = fc.record({
  vaultId: anyId<VaultId>(),
  accessId: anyId<AccessId>(),
  kind: fc.constantFrom(...accessKinds),
  scope: fc.constantFrom(...scopes),
  expiresAt: fc.option(fc.nat()),
  publicKey: anyKey,
});

/** Each differs from the claim in one thing, the last ones in where one thing ends and the next begins. */
function otherClaims(claim: AccessClaim): readonly AccessClaim[] {
  const { vaultId, accessId, kind, scope, expiresAt, publicKey } = claim;
  const swapped = [accessId, vaultId] as readonly string[] as [VaultId, AccessId];
  return [
    { ...claim, vaultId: swapped[0] },
    { ...claim, vaultId: swapped[0], accessId: swapped[1] },
    { ...claim, kind: kind === "person" ? "machine" : "person" },
    ...scopes.filter((other) => other !== scope).map((other) => ({ ...claim, scope: other })),
    { ...claim, expiresAt: expiresAt === null ? 0 : null },
    { ...claim, expiresAt: (expiresAt ?? 0) + 1 },
    { ...claim, expiresAt: (expiresAt ?? 0) + 0.5 },
    { ...claim, publicKey: flipped(publicKey, 255) },
    { ...claim, publicKey: publicKey.subarray(1) },
    { ...claim, kind: `${kind}${scope}` as typeof kind, scope: "" as typeof scope },
  ];
}

describe("the MAC of an access", () => {
  it("is the same for the same claim under the same key, and 32 bytes", () => {
    fc.assert(
      fc.property(anyKey, anyClaim, (bytes, claim) => {
        using one = VaultKey.of(bytes);
        using same = VaultKey.of(bytes);
        expect(isSameMac(one.accessMac(claim), same.accessMac({ ...claim }))).toBe(true);
        expect(one.accessMac(claim)).toHaveLength(32);
      }),
    );
  });

  it("is another for any other claim and any other key", () => {
    fc.assert(
      fc.property(twoKeys, anyClaim, ([a, b], claim) => {
        using key = VaultKey.of(a);
        using other = VaultKey.of(b);
        const mac = key.accessMac(claim);
        expect(isSameMac(mac, other.accessMac(claim))).toBe(false);
        for (const wrong of otherClaims(claim)) expect(isSameMac(mac, key.accessMac(wrong))).toBe(false);
      }),
    );
  });

  it("is not the same with any bit flipped, cut, or none", () => {
    const mac = systemRandom.bytes(32);
    for (let bit = 0; bit < 256; bit += 1) expect(isSameMac(mac, flipped(mac, bit))).toBe(false);
    expect(isSameMac(mac, mac.subarray(0, 31))).toBe(false);
    expect(isSameMac(mac, new Uint8Array())).toBe(false);
  });

  it("is over bytes in which every part stands behind its length", () => {
    const claim: AccessClaim = {
      vaultId: "11111111-1111-1111-1111-111111111111" as VaultId,
      accessId: "22222222-2222-2222-2222-222222222222" as AccessId,
      kind: "person",
      scope: "read",
      expiresAt: 90,
      publicKey: fromHex("33".repeat(32)),
    };
    const bytes = claimBytes(claim, "44".repeat(16) as KeyId);
    expect(Buffer.from(bytes).toString("hex")).toBe(
      [
        `00000010${"11".repeat(16)}`,
        `00000010${"22".repeat(16)}`,
        `00000006${Buffer.from("person").toString("hex")}`,
        `00000004${Buffer.from("read").toString("hex")}`,
        "000000023930",
        `00000020${"33".repeat(32)}`,
        `00000010${"44".repeat(16)}`,
      ].join(""),
    );
  });
});
