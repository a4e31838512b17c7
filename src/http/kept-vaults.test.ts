import { beforeAll, describe, expect, it } from "vitest";
import { SeededRandom, VirtualClock } from "../../test/support/ports.ts";
import { encodeAccess } from "../core/access.ts";
import { toHex } from "../core/bytes.ts";
import { newUuidV7, type VaultId } from "../core/ids.ts";
import type { LiveRow } from "../core/row.ts";
import { accessKey, encodeVault, type VaultBody, vaultKey } from "../core/vault.ts";
import { AccessSecret } from "../crypto/access-secret.ts";
import { formatToken, newToken } from "../crypto/token.ts";
import { VaultKey } from "../crypto/vault-key.ts";
import { KeptVaults } from "./kept-vaults.ts";
import { makeAccess } from "./new-access.ts";
import { openKept, type OpenVault, openVault, type VaultRows } from "./vault-opening.ts";

const random = new SeededRandom(1);
const minuteMs = 60_000;

type Client = { readonly bearer: string; readonly rows: VaultRows; readonly open: OpenVault };

/** A vault that its owner has just opened. */
async function client(name = "Family"): Promise<Client> {
  const vaultId = newUuidV7(0, random) as VaultId;
  const key = VaultKey.generate(random);
  const token = newToken("vault", random);
  const secret = AccessSecret.ofToken(token);
  const plan = { vaultId, name: "owner", scope: "owner", expiresAt: null, passphrase: null, now: 0 } as const;
  const { accessId, access } = await makeAccess(plan, secret, key);
  const vault: VaultBody = { name, createdAt: 0, updatedAt: 0, keyId: key.id, older: [], links: [] };
  const stored = { position: { epoch: 1, seq: 1 }, hash: random.bytes(32), dirty: false };
  const times = { dirtySince: null, replicatedAt: null };
  const rows: { readonly vault: LiveRow; readonly access: LiveRow } = {
    vault: { ...stored, ...times, key: vaultKey(vaultId), body: encodeVault(vault) },
    access: { ...stored, ...times, key: accessKey(vaultId, accessId), body: encodeAccess(access) },
  };
  const open = await openVault(rows, secret, random);
  if (open === undefined) throw new Error("the vault does not open");
  return { bearer: formatToken(token), rows, open };
}

let one: Client;
let other: Client;
beforeAll(async () => {
  [one, other] = [await client(), await client()];
});

function keep(
  kept: KeptVaults,
  { bearer, open, rows }: Client,
  session: { id: string; login: string } | null = null,
) {
  return kept.keep(bearer, open, rows, session);
}

/** Every string and every byte that is reached from a value, private members too, as one text. */
function everythingIn(value: unknown, seen = new Set<unknown>()): string {
  if (typeof value === "string") return `${value} ${toHex(Buffer.from(value, "latin1"))} `;
  if (value instanceof Uint8Array) return `${toHex(value)} `;
  if (typeof value !== "object" || value === null || seen.has(value)) return "";
  seen.add(value);
  const parts = value instanceof Map ? [...value.entries()].flat() : Object.values(value);
  return parts.map((part) => everythingIn(part, seen)).join("");
}

describe("a vault that is kept", () => {
  it("is found and opened with the token that opened it, and for no other vault", () => {
    const kept = new KeptVaults(new VirtualClock());
    keep(kept, one);
    const found = kept.find(one.bearer, one.open.vaultId);
    if (found === undefined) throw new Error("nothing is found");
    using opened = openKept(found.vault, one.bearer, random);
    expect(new Uint8Array(opened.key.bytes)).toEqual(new Uint8Array(one.open.key.bytes));
    expect(opened).toMatchObject({ accessId: one.open.accessId, access: one.open.access });
    expect(kept.find(other.bearer, one.open.vaultId)).toBeUndefined();
    expect(kept.find(one.bearer, other.open.vaultId)).toBeUndefined();
  });

  it("holds neither the key, nor what follows from it, nor the token: memory alone opens nothing", () => {
    const kept = new KeptVaults(new VirtualClock());
    const text = everythingIn(keep(kept, one));
    const entryKey = one.open.key.withEntryKey().subarray(32);
    const secret = one.bearer.slice(37, 80);
    expect(text).toContain(toHex(one.rows.access.hash));
    for (const bytes of [one.open.key.bytes, entryKey, Buffer.from(secret, "base64url")]) {
      expect(text).not.toContain(toHex(bytes));
    }
    expect(text).not.toContain(secret);
    expect(() => openKept(keep(kept, one).vault, other.bearer, random)).toThrow(/does not open/);
  });

  it("is forgotten when its access's row or the vault's changes, and no other is", () => {
    const kept = new KeptVaults(new VirtualClock());
    for (const key of [one.rows.access.key, one.rows.vault.key]) {
      keep(kept, one);
      keep(kept, other);
      kept.changed([{ ...one.rows.vault, key }]);
      expect(kept.find(one.bearer, one.open.vaultId)).toBeUndefined();
      expect(kept.find(other.bearer, other.open.vaultId)).toBeDefined();
    }
  });

  it("is forgotten when the session ends that it was opened in", () => {
    const kept = new KeptVaults(new VirtualClock());
    keep(kept, one, { id: "a", login: "anna" });
    keep(kept, other, { id: "b", login: "anna" });
    kept.endSession("a");
    expect(kept.find(one.bearer, one.open.vaultId)).toBeUndefined();
    expect(kept.find(other.bearer, other.open.vaultId)).toBeDefined();
  });

  it("is forgotten after 30 minutes without use, and lasts while it is used", async () => {
    const clock = new VirtualClock();
    const kept = new KeptVaults(clock);
    keep(kept, one);
    keep(kept, other);
    await clock.advance(29 * minuteMs);
    expect(kept.find(one.bearer, one.open.vaultId)).toBeDefined();
    await clock.advance(minuteMs);
    expect(kept.find(one.bearer, one.open.vaultId)).toBeDefined();
    expect(kept.size).toBe(1);
    await clock.advance(30 * minuteMs);
    expect(kept.find(one.bearer, one.open.vaultId)).toBeUndefined();
    expect(kept.size).toBe(0);
  });
});

describe("what is kept is bounded", () => {
  it("to 2,000 vaults: the one that was idle longest goes first", () => {
    const kept = new KeptVaults(new VirtualClock());
    keep(kept, one);
    keep(kept, other);
    for (let i = 0; i < 1_999; i += 1) {
      kept.keep(`dmv_${i}`, one.open, one.rows, null);
      if (i === 1_000) kept.find(one.bearer, one.open.vaultId);
    }
    expect(kept.size).toBe(2_000);
    expect(kept.find(one.bearer, one.open.vaultId)).toBeDefined();
    expect(kept.find(other.bearer, other.open.vaultId)).toBeUndefined();
  });

  it("to 8 MiB of the rows that were opened", () => {
    const kept = new KeptVaults(new VirtualClock());
    const rows = { ...one.rows, vault: { ...one.rows.vault, body: new Uint8Array(1024 * 1024) } };
    for (let i = 0; i < 20; i += 1) kept.keep(`dmv_${i}`, one.open, rows, null);
    expect(kept.size).toBe(7);
    kept.forget(one.open.vaultId);
    for (let i = 0; i < 20; i += 1) kept.keep(`dmv_${i}`, one.open, rows, null);
    expect(kept.size).toBe(7);
  });
});
