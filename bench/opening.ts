import { systemRandom } from "../src/app/system-ports.ts";
import { encodeAccess } from "../src/core/access.ts";
import { type EntryId, newUuidV7, type VaultId } from "../src/core/ids.ts";
import { accessKey, encodeVault, vaultKey } from "../src/core/vault.ts";
import { AccessSecret } from "../src/crypto/access-secret.ts";
import { formatToken, newToken, parseToken } from "../src/crypto/token.ts";
import { keptName } from "../src/crypto/kept-key.ts";
import { VaultKey } from "../src/crypto/vault-key.ts";
import { makeAccess } from "../src/http/new-access.ts";
import { keepVault, openKept, type OpenVault, openVault, type VaultRows } from "../src/http/vault-opening.ts";
import { instantMs } from "./support/instant.ts";
import { sampleEntryOf } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const rounds = 5_000;
const warmUpRounds = 2_000;
const now = Date.UTC(2026, 0, 1);
const vaultId = newUuidV7(now, systemRandom) as VaultId;
const entryId = newUuidV7(now, systemRandom) as EntryId;

/** What opening a vault adds to each request, and what one entry costs then: in this process, without HTTP and disk. */
export async function opening(): Promise<void> {
  const { text, rows } = await storedVault();
  const tokenUs = await timed(() => {
    using secret = secretOf(text);
    secret.verifier();
  });
  using kept = secretOf(text);
  const openUs = await timed(async () => {
    using _ = await opened(rows, kept);
  });
  using open = await opened(rows, kept);
  const before = keepVault(open, rows, text);
  const keptUs = await timed(() => {
    keptName(text, vaultId);
    using _ = openKept(before, text, systemRandom);
  });
  const figures: [string, number][] = [
    ["a token: taken apart, its verifier derived", tokenUs],
    ["the vault: slot opened, key id and MAC checked, all zeroed", openUs],
    ["both, of a client that has opened it before", keptUs],
  ];
  for (const [size, bytes] of Object.entries({ "300 B": 300, "4 kB": 4_000 })) {
    const entry = sampleEntryOf(bytes);
    const body = open.seal.seal(entryId, entry);
    figures.push([`an entry of ${size} sealed`, await timed(() => open.seal.seal(entryId, entry))]);
    figures.push([`an entry of ${size} opened`, await timed(() => open.seal.open(entryId, body))]);
  }
  printTable(
    `Opening a vault for one request, medians of ${rounds} in one process`,
    ["", ""],
    figures.map(([title, us]) => [title, `${us.toFixed(1)} µs`]),
  );
}

function secretOf(text: string): AccessSecret {
  const token = parseToken(text);
  if (token === undefined) throw new Error("the token is none");
  return AccessSecret.ofToken(token);
}

async function opened(rows: VaultRows, secret: AccessSecret): Promise<OpenVault> {
  const open = await openVault(rows, secret, systemRandom);
  if (open === undefined) throw new Error("the vault does not open");
  return open;
}

async function storedVault(): Promise<{ readonly text: string; readonly rows: VaultRows }> {
  using key = VaultKey.generate(systemRandom);
  const token = newToken("vault", systemRandom);
  using secret = AccessSecret.ofToken(token);
  const plan = { vaultId, name: "owner", scope: "owner", expiresAt: null, passphrase: null, now } as const;
  const { accessId, access } = await makeAccess(plan, secret, key);
  const vault = { name: "Harbour", createdAt: now, updatedAt: now, keyId: key.id, older: [], links: [] };
  const row = {
    position: { epoch: 1, seq: 1 },
    hash: new Uint8Array(32),
    dirty: false,
    dirtySince: null,
    replicatedAt: null,
  };
  return {
    text: formatToken(token),
    rows: {
      vault: { ...row, key: vaultKey(vaultId), body: encodeVault(vault) },
      access: { ...row, key: accessKey(vaultId, accessId), body: encodeAccess(access) },
    },
  };
}

/** The median, in µs. */
async function timed(work: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < warmUpRounds + rounds; i += 1) {
    const beganMs = instantMs();
    await work();
    times.push((instantMs() - beganMs) * 1000);
  }
  return median(times.slice(warmUpRounds));
}
