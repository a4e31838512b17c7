import { onTestFailed } from "vitest";
import type { KeyChange } from "../../src/core/access-writes.ts";
import { changeKey } from "../../src/core/access-writes.ts";
import { toHex } from "../../src/core/bytes.ts";
import type { EntryContent } from "../../src/core/entry.ts";
import { changeEntry, importEntries, newEntry } from "../../src/core/entry-writes.ts";
import {
  type AccessId,
  type EntryId,
  type KeyId,
  newUuidV7,
  type SiteName,
  type VaultId,
} from "../../src/core/ids.ts";
import { isUnderOlderKey } from "../../src/core/resealing.ts";
import { isLive, type LiveRow } from "../../src/core/row.ts";
import { createVault, decodeVault, vaultKey, type VaultBody } from "../../src/core/vault.ts";
import { AccessSecret } from "../../src/crypto/access-secret.ts";
import { VaultSeal } from "../../src/crypto/entry-seal.ts";
import { newToken } from "../../src/crypto/token.ts";
import { VaultKey } from "../../src/crypto/vault-key.ts";
import { readAccesses } from "../../src/http/access-list.ts";
import { commitOpened } from "../../src/http/commit.ts";
import { prepareKeyChange } from "../../src/http/key-change.ts";
import { makeAccess } from "../../src/http/new-access.ts";
import {
  olderKeys,
  openVault,
  type OpenVault,
  readVaultRows,
  VaultSession,
} from "../../src/http/vault-opening.ts";
import { SeededRandom } from "../support/ports.ts";
import { calgary, World } from "./world.ts";

const minuteMs = 60_000;
const now = 1;

/** So many that a vault's accesses alone are more than one batch of the real size. */
const accessCount = 130;
const entryCount = 30;
/** Entries that have an earlier version. */
const editedCount = 12;
const keepVersions = 20;
/** Some ten entries of one batch. */
const batchBytes = 3_000;

const random = new SeededRandom(11);
/** The owner is the first. */
export const secrets: readonly AccessSecret[] = Array.from({ length: accessCount }, () =>
  AccessSecret.ofToken(newToken("vault", random)),
);
const vaultId = newUuidV7(now, random) as VaultId;
export const entryIds: readonly EntryId[] = Array.from(
  { length: entryCount },
  () => newUuidV7(now, random) as EntryId,
);

/** An access by its place: 0 is the owner's. */
export function accessAt(index: number): AccessSecret {
  const secret = secrets[index];
  if (secret === undefined) throw new Error(`there is no access ${index}`);
  return secret;
}

export function entryIdAt(index: number): EntryId {
  const entryId = entryIds[index];
  if (entryId === undefined) throw new Error(`there is no entry ${index}`);
  return entryId;
}

function contentOf(title: string): EntryContent {
  return { type: "note", title, urls: [], tags: [], favourite: false, fields: [], notes: "" };
}

/** The disks of sites that hold the vault, all alike, and have nothing to do. */
export type Disks = ReadonlyMap<SiteName, Buffer>;

/**
 * A vault with real keys, many accesses and some history on every site. Slow to make, for each access has a key pair of its own: the
 * worlds of one test begin with copies of it.
 */
export async function sealedDisks(backups: readonly SiteName[]): Promise<Disks> {
  const world = await World.create({ seed: 1, backups });
  for (const site of world.sites.keys()) await world.start(site);
  const key = VaultKey.generate(random);
  const seal = new VaultSeal({ vaultId, current: key, older: [], random });
  const plan = { vaultId, name: "machine", scope: "owner", expiresAt: null, passphrase: null, now } as const;
  const accesses = await Promise.all(secrets.map((secret) => makeAccess(plan, secret, key)));
  const body: VaultBody = {
    name: "Family",
    createdAt: now,
    updatedAt: now,
    keyId: key.id,
    older: [],
    links: [],
  };
  const made = entryIds.map((entryId) => ({
    entryId,
    body: seal.seal(entryId, newEntry(contentOf("1"), now)),
  }));
  void world.primary.write(createVault(vaultId, body, accesses));
  await world.scheduler.run(0);
  void world.primary.write(importEntries(seal, made));
  await world.scheduler.run(0);
  for (const entryId of entryIds.slice(0, editedCount)) {
    void world.primary.write(
      changeEntry({ seal, entryId, match: undefined, now, history }, () => contentOf("2")),
    );
  }
  await world.scheduler.run(minuteMs);
  seal[Symbol.dispose]();
  const disks = new Map([...world.sites.keys()].map((site) => [site, world.image(site)]));
  world.end();
  return disks;
}

const history = { keepVersions, expiring: [] };

/** A world of its own in which sites have these disks, and none is started. Its batches are small, so that a change of the key takes several. */
export async function sealedWorld(disks: Disks): Promise<World> {
  const backups = [...disks.keys()].filter((site) => site !== calgary);
  const world = await World.create({ seed: 2, backups, limit: { rows: 100, bytes: batchBytes }, disks });
  onTestFailed(() => void process.stderr.write(`${world.trace.join("\n")}\n`));
  return world;
}

/** Opens the vault at a site; undefined where nothing leads to its key. What it takes is no part of the virtual time. */
export async function openAt(
  world: World,
  site: SiteName,
  secret: AccessSecret,
): Promise<OpenVault | undefined> {
  const rows = await world.reading(site, (store) => readVaultRows(store, vaultId, secret.accessId));
  return rows && (await openVault(rows, secret, random));
}

/** What accesses opened with these rows before: the same opens with them again, and an exchange of keys for each takes long. */
const openedBefore = new Map<string, KeyId | undefined>();

/** Which of these accesses do not open a vault's current key at a site, by their places. */
export async function lockedOutAt(
  world: World,
  site: SiteName,
  accesses: readonly AccessSecret[],
): Promise<readonly number[]> {
  const vaultRow = await world.reading(site, (store) => store.read((r) => r.rows.row(vaultKey(vaultId))));
  if (!vaultRow || !isLive(vaultRow)) throw new Error(`${site} has no vault`);
  const { keyId, links } = decodeVault(vaultRow.body);
  const rows = await world.reading(site, (store) => readAccesses(store, vaultId));
  const locked: number[] = [];
  for (const secret of accesses) {
    const found = rows.find(({ accessId }) => accessId === secret.accessId);
    const ways = links
      .filter(({ accessId }) => accessId === secret.accessId)
      .map(({ sealed }) => toHex(sealed));
    const name = found && [secret.accessId, toHex(found.row.hash), keyId, ...ways].join("/");
    if (found && name !== undefined && !openedBefore.has(name)) {
      using open = await openVault({ vault: vaultRow, access: found.row }, secret, random);
      openedBefore.set(name, open?.key.id);
    }
    if (name === undefined || openedBefore.get(name) !== keyId) locked.push(secrets.indexOf(secret));
  }
  return locked;
}

async function sessionAt(world: World, site: SiteName, secret: AccessSecret): Promise<VaultSession> {
  const open = await openAt(world, site, secret);
  if (open === undefined) throw new Error(`the access ${secret.accessId} does not open the vault`);
  const { store, clock } = world.process(site);
  return new VaultSession({ store, random, clock }, () => secret, open);
}

/** A change of the key that is prepared, and the keys that what follows it needs. */
export type Prepared = { readonly change: KeyChange; readonly seal: () => VaultSeal };

/** What the owner's call does before it commits: the next key sealed to everybody who stays. */
export async function prepareAt(
  world: World,
  site: SiteName,
  revoked: AccessId | null,
  by: AccessSecret = accessAt(0),
): Promise<Prepared> {
  const session = await sessionAt(world, site, by);
  const { key, vault } = session.open;
  const next = VaultKey.generate(random);
  const accesses = await world.reading(site, (store) => readAccesses(store, vaultId));
  const { change, notLinked } = await prepareKeyChange(session, accesses, { next, revoked, now });
  if (notLinked.length > 0) throw new Error(`${notLinked.length} accesses get no link`);
  const copy = (each: VaultKey) => VaultKey.of(each.bytes);
  const seal = () => {
    const older = [...olderKeys(vaultId, vault, key), copy(key)];
    return new VaultSeal({ vaultId, current: copy(next), older, random });
  };
  return { change, seal };
}

/** Commits a change of the key, and begins what follows it; both end where the site does. */
export async function commitChange(world: World, site: SiteName, { change, seal }: Prepared): Promise<void> {
  const process = world.process(site);
  void process.write(changeKey(change)).then(() => process.resealing.begin(seal()));
  await world.scheduler.run(0);
}

/** Changes an entry as a client's call does: with a slot of the current key where it was absent, and what is left of the change behind it. */
export async function editAt(
  world: World,
  site: SiteName,
  secret: AccessSecret,
  entryId: EntryId,
): Promise<void> {
  const process = world.process(site);
  const session = await sessionAt(world, site, secret);
  let isDone = false;
  const edited = commitOpened(session, ({ seal }, asCaller) => {
    const edit = { seal, entryId, match: undefined, now, history };
    const next = ({ title }: EntryContent) => contentOf(String(Number(title) + 1));
    return process.write(asCaller(changeEntry(edit, next)));
  }).then(() => {
    process.resealing.continue(session.open, session.isRenewed);
    isDone = true;
  });
  while (!isDone) {
    await world.scheduler.run(1);
    await Promise.race([edited, Promise.resolve()]);
  }
}

/** What a site holds of the vault: its row, and the live rows of its entries and versions. */
export async function heldAt(
  world: World,
  site: SiteName,
): Promise<{ readonly vault: VaultBody; readonly rows: readonly LiveRow[] }> {
  return world.reading(site, async (store) => {
    const row = await store.read((r) => r.rows.row(vaultKey(vaultId)));
    if (!row?.body) throw new Error(`${site} has no vault`);
    const entries = await store.read((r) => r.rows.vaultRows(vaultId, "entry", undefined, 1_000));
    const versions = await store.read((r) => r.rows.vaultRows(vaultId, "version", undefined, 1_000));
    return { vault: decodeVault(row.body), rows: [...entries, ...versions].filter(isLive) };
  });
}

/** How many rows are under another key than the vault's own. */
export async function underOlderAt(world: World, site: SiteName): Promise<number> {
  const { vault, rows } = await heldAt(world, site);
  return rows.filter((row) => isUnderOlderKey(row, vault.keyId)).length;
}
