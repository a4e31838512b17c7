import { type AccessBody, decodeAccess } from "../core/access.ts";
import { bytesEqual } from "../core/bytes.ts";
import type { Caller, SlotRenewal } from "../core/access-writes.ts";
import { Refusal } from "../core/errors.ts";
import type { AccessId, VaultId } from "../core/ids.ts";
import type { Clock, Random } from "../core/ports.ts";
import { comparePositions, type Position } from "../core/position.ts";
import { isLive, type LiveRow } from "../core/row.ts";
import type { Reads } from "../core/store/store.ts";
import { accessKey, decodeVault, type KeyLink, type VaultBody, vaultKey } from "../core/vault.ts";
import type { AccessSecret } from "../crypto/access-secret.ts";
import { VaultSeal } from "../crypto/entry-seal.ts";
import { type KeptKey, keepKey, openKeptKey } from "../crypto/kept-key.ts";
import { isSameMac, type VaultKey } from "../crypto/vault-key.ts";

/** What is known of a vault that one access has opened, without its keys. */
type KnownVault = {
  readonly vaultId: VaultId;
  readonly accessId: AccessId;
  readonly access: AccessBody;
  /** Where the access's row stood. */
  readonly accessAt: Position;
  readonly vault: VaultBody;
  readonly vaultAt: Position;
};

/** A vault as one access has opened it, at one moment. Its owner disposes it: the keys in it are zeroed. */
export type OpenVault = Disposable &
  KnownVault & {
    readonly key: VaultKey;
    /** The key with those of before: it owns them all. */
    readonly seal: VaultSeal;
  };

/** The rows that a vault is opened with. */
export type VaultRows = { readonly vault: LiveRow; readonly access: LiveRow };

/**
 * Opens a vault with an access's secret: its slot, the link to the current key where it missed a change of it, and the keys of before.
 * Undefined where nothing leads to the current key: the access was ended with a change of the key whose tombstone is not here yet.
 * @throws Refusal `access_forged` where the access's row is not what somebody with the vault's key has made
 */
export async function openVault(
  rows: VaultRows,
  secret: AccessSecret,
  random: Random,
): Promise<OpenVault | undefined> {
  const { vaultId } = rows.vault.key;
  const { accessId } = secret;
  const access = decodeAccess(rows.access.body);
  const vault = decodeVault(rows.vault.body);
  const key = await currentKey(secret, access, { vaultId, vault });
  if (key === undefined) return undefined;
  const { kind, scope, expiresAt, publicKey } = access;
  const mac = key.accessMac({ vaultId, accessId, kind, scope, expiresAt, publicKey });
  if (!isSameMac(mac, macOf(accessId, access, vault) ?? new Uint8Array(0))) {
    key[Symbol.dispose]();
    throw new Refusal("access_forged");
  }
  const [accessAt, vaultAt] = [rows.access.position, rows.vault.position];
  return withKey({ vaultId, accessId, access, accessAt, vault, vaultAt }, key, random);
}

function withKey(known: KnownVault, key: VaultKey, random: Random): OpenVault {
  const { vaultId, vault } = known;
  const older = () => olderKeys(vaultId, vault, key);
  const seal = new VaultSeal({ vaultId, current: key, older, random });
  return { ...known, key, seal, [Symbol.dispose]: () => seal[Symbol.dispose]() };
}

/** A vault that a client has opened, as it is kept for the client's next request: with a key that only the client's token opens. */
export type KeptVault = KnownVault & {
  readonly accessHash: Uint8Array;
  readonly vaultHash: Uint8Array;
  readonly kept: KeptKey;
};

/** @param bearer of whoever has opened it */
export function keepVault(open: OpenVault, rows: VaultRows, bearer: string): KeptVault {
  const { vaultId, accessId, access, accessAt, vault, vaultAt, key } = open;
  const known = { vaultId, accessId, access, accessAt, vault, vaultAt };
  const [accessHash, vaultHash] = [rows.access.hash, rows.vault.hash];
  return { ...known, accessHash, vaultHash, kept: keepKey(bearer, vaultId, key) };
}

/** Whether the rows are still those that a vault was opened with, and what was checked of them holds. */
export function isOfRows({ accessAt, accessHash, vaultAt, vaultHash }: KeptVault, rows: VaultRows): boolean {
  return (
    comparePositions(rows.access.position, accessAt) === 0 &&
    comparePositions(rows.vault.position, vaultAt) === 0 &&
    bytesEqual(rows.access.hash, accessHash) &&
    bytesEqual(rows.vault.hash, vaultHash)
  );
}

/** The vault once more, with the token that it was kept for: nothing of it is derived or checked anew. */
export function openKept({ kept, ...known }: KeptVault, bearer: string, random: Random): OpenVault {
  const key = openKeptKey(bearer, known.vaultId, kept);
  if (key === undefined) throw new Error("a token finds a vault that is kept, and does not open it");
  return withKey(known, key, random);
}

/**
 * The keys of before, which the caller disposes. One that does not open is left out: what is sealed under it is named when it is
 * asked for, and everything else can still be read.
 */
export function olderKeys(vaultId: VaultId, vault: VaultBody, key: VaultKey): readonly VaultKey[] {
  return vault.older.flatMap(({ keyId, sealed }) => {
    try {
      return [key.openOlder(sealed, vaultId, keyId)];
    } catch (error) {
      if (error instanceof Refusal) return [];
      throw error;
    }
  });
}

/** The MAC of an access under the vault's current key; undefined where it has no way to that key. */
export function macOf(accessId: AccessId, access: AccessBody, vault: VaultBody): Uint8Array | undefined {
  return access.slot.keyId === vault.keyId ? access.mac : linkOf(accessId, access, vault)?.mac;
}

/** How an access that was absent comes from the key in its slot to the current one. */
function linkOf(accessId: AccessId, { slot }: AccessBody, { links, keyId }: VaultBody): KeyLink | undefined {
  return links.find((link) => link.accessId === accessId && link.from === slot.keyId && link.to === keyId);
}

async function currentKey(
  secret: AccessSecret,
  access: AccessBody,
  { vaultId, vault }: { readonly vaultId: VaultId; readonly vault: VaultBody },
): Promise<VaultKey | undefined> {
  const { slot } = access;
  const key = secret.openSlot(slot.sealed, vaultId, slot.keyId);
  // The secret was verified: a slot that it does not open was not made for it.
  if (key === undefined) throw new Refusal("access_forged");
  if (key.id === vault.keyId) return key;
  using from = key;
  const link = linkOf(secret.accessId, access, vault);
  if (link === undefined) return undefined;
  const next = await secret.followLink({ from, to: link.to, sealed: link.sealed }, vaultId);
  if (next === undefined) throw new Refusal("access_forged");
  return next;
}

type Site = {
  readonly store: Reads<"rows" | "accesses">;
  readonly random: Random;
  readonly clock: Pick<Clock, "now">;
};

/**
 * A vault that stays opened for one request: where its key is changed meanwhile, it is opened anew with the same secret. Is disposed
 * with the request.
 */
export class VaultSession implements Disposable {
  readonly #site: Site;
  readonly #secretOf: () => AccessSecret;
  #secret: AccessSecret | undefined;
  #open: OpenVault;
  /** Whether a write has gone out with a slot of the current key for an access that was absent. */
  isRenewed = false;

  /** @param secretOf called once at most, where the secret is needed; this owns what it returns */
  constructor(site: Site, secretOf: () => AccessSecret, open: OpenVault) {
    this.#site = site;
    this.#secretOf = secretOf;
    this.#open = open;
  }

  /** As it was opened last; disposed where it is opened anew. */
  get open(): OpenVault {
    return this.#open;
  }

  /** @throws Refusal `unauthorized` where the access has ended or was blocked meanwhile, `access_forged` */
  async reopen(): Promise<OpenVault> {
    const { vaultId, accessId } = this.#open;
    const rows = await readGoodRows(this.#site, vaultId, accessId);
    if (rows === undefined) throw new Refusal("unauthorized");
    const open = await openVault(rows, this.#accessSecret(), this.#site.random);
    if (open === undefined) throw new Refusal("unauthorized");
    this.#open[Symbol.dispose]();
    this.#open = open;
    return open;
  }

  /** Who makes the writes of this request. */
  caller(): Caller {
    const { vaultId, accessId } = this.#open;
    return { vaultId, accessId, now: this.#site.clock.now(), renewal: this.#renewal() };
  }

  /** The access's row with a slot of the current key, where it holds another: it was absent when the key was changed. */
  #renewal(): SlotRenewal | undefined {
    const { access, accessId, accessAt, key } = this.#open;
    if (access.slot.keyId === key.id) return undefined;
    return { accessId, position: accessAt, keyId: key.id, access: this.withSlotOf(key) };
  }

  /** This access as its row would be with a slot of that key. */
  withSlotOf(key: VaultKey): AccessBody {
    const { access, accessId, vaultId } = this.#open;
    const { kind, scope, expiresAt, publicKey } = access;
    return {
      ...access,
      slot: { keyId: key.id, sealed: this.#accessSecret().sealSlot(key, vaultId) },
      mac: key.accessMac({ vaultId, accessId, kind, scope, expiresAt, publicKey }),
    };
  }

  #accessSecret(): AccessSecret {
    this.#secret ??= this.#secretOf();
    return this.#secret;
  }

  [Symbol.dispose](): void {
    this.#open[Symbol.dispose]();
    this.#secret?.[Symbol.dispose]();
  }
}

/** The rows that a vault is opened with, where both are there and the access has not ended here in any way. */
export async function readGoodRows(
  { store, clock }: Omit<Site, "random">,
  vaultId: VaultId,
  accessId: AccessId,
): Promise<VaultRows | undefined> {
  const rows = await readVaultRows(store, vaultId, accessId);
  if (rows === undefined || (await store.read((r) => r.accesses.isBlocked(accessId)))) return undefined;
  const { expiresAt } = decodeAccess(rows.access.body);
  return expiresAt === null || expiresAt > clock.now() ? rows : undefined;
}

/** The rows that a vault is opened with, where both are there. */
export async function readVaultRows(
  store: Reads<"rows">,
  vaultId: VaultId,
  accessId: AccessId,
): Promise<VaultRows | undefined> {
  const vault = await store.read((r) => r.rows.row(vaultKey(vaultId)));
  const access = await store.read((r) => r.rows.row(accessKey(vaultId, accessId)));
  return vault && isLive(vault) && access && isLive(access) ? { vault, access } : undefined;
}
