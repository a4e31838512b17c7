import { dirname, join } from "node:path";
import Sqlite from "better-sqlite3";
import { databasePath } from "../src/app/data-folder.ts";
import { decodeVault, type VaultBody } from "../src/core/vault.ts";
import { opening } from "./opening.ts";
import {
  type BenchPair,
  type BenchSite,
  drained,
  makeCommunitySite,
  makePair,
  type Vault,
} from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { recordDelay, type Watched, watchDelay } from "./support/delays.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs } from "./support/table.ts";

const loginsPerRun = 4;
const rekeyedEntries = 1_000;
const accessCount = 50;
const resealingMsMax = 60_000;

/** What a vault's keys cost: opening it for a request, a person's login, and a change of the key. */
export async function keys(plan: Plan): Promise<void> {
  await opening();
  await measureLogins(plan);
  await measureKeyChanges(plan);
}

async function measureLogins({ folder, runs }: Plan): Promise<void> {
  await using site = await makeCommunitySite(folder, "logins");
  await site.start();
  const vault = await site.createVault();
  await using owner = new Client(site.files.url, vault.token);
  const request = { kind: "person", login: "m.lindqvist", scope: "write" };
  const { passphrase } = await owner.call<{ passphrase: string }>(
    "POST",
    `/api/vaults/${vault.vaultId}/access`,
    JSON.stringify(request),
  );
  await using nobody = new Client(site.files.url, "");
  const text = JSON.stringify({ login: request.login, passphrase });
  const logIn = () => watchDelay(site.child, () => nobody.call("POST", "/api/sessions", text));
  await logIn();
  const logins: Watched[] = [];
  for (let i = 0; i < runs * loginsPerRun; i += 1) logins.push(await logIn());
  printTable(
    `A login (Argon2id of 64 MiB, 3 passes, 4 lanes), medians of ${logins.length}`,
    ["", ""],
    [["until the 201", showMs(median(logins.map(({ ms }) => ms)))]],
  );
  recordDelay("a login", logins);
}

type KeyChange = Watched & {
  readonly answeredMs: number;
  readonly resealedMs: number;
  readonly heldMs: number;
};

async function measureKeyChanges({ folder, runs }: Plan): Promise<void> {
  const pair = await makePair(folder, "key-change");
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  await zurich.start();
  await calgary.start();
  await changeKey({ calgary, zurich });
  const changes: KeyChange[] = [];
  for (let run = 0; run < runs; run += 1) changes.push(await changeKey({ calgary, zurich }));
  const of = (name: keyof KeyChange): string => showMs(median(changes.map((one) => one[name])));
  printTable(
    `A change of the key of a vault with ${showCount(rekeyedEntries)} entries and ${accessCount} accesses, medians of ${runs} runs`,
    ["", ""],
    [
      ["until the 200", of("answeredMs")],
      ["until every entry is sealed anew", of("resealedMs")],
      ["until the backup holds all of it", of("heldMs")],
    ],
  );
  recordDelay(`a change of the key of ${showCount(rekeyedEntries)} entries, primary`, changes);
}

async function changeKey({ calgary }: BenchPair): Promise<KeyChange> {
  const vault = await filledVault(calgary);
  await drained(calgary);
  await using client = new Client(calgary.files.url, vault.token);
  using stored = new StoredVault(calgary, vault);
  const beganMs = instantMs();
  const since = (): number => instantMs() - beganMs;
  const times = { answeredMs: 0, resealedMs: 0, heldMs: 0 };
  const watched = await watchDelay(calgary.child, async () => {
    await client.call("POST", `/api/vaults/${vault.vaultId}/rotation`);
    times.answeredMs = since();
    await stored.until(({ older }) => older.every(({ lastPosition }) => lastPosition !== null));
    times.resealedMs = since();
    await drained(calgary);
    times.heldMs = since();
  });
  return { ...watched, ...times };
}

async function filledVault(site: BenchSite): Promise<Vault> {
  const vault = await site.createVault();
  await using client = new Client(site.files.url, vault.token);
  await client.call("POST", `${vault.path}/import`, importText(rekeyedEntries));
  for (let i = 1; i < accessCount; i += 1) {
    const request = { kind: "machine", name: `machine ${i}`, scope: "read" };
    await client.call("POST", `/api/vaults/${vault.vaultId}/access`, JSON.stringify(request));
  }
  return vault;
}

/** A vault's row as it lies on the site's disk: no call tells how far a change of the key has come. */
class StoredVault implements Disposable {
  readonly #database: Sqlite.Database;
  readonly #read: () => VaultBody;

  constructor(site: BenchSite, { vaultId }: Vault) {
    const path = databasePath(join(dirname(site.files.configPath), "calgary"));
    this.#database = new Sqlite(path, { readonly: true });
    const select = this.#database.prepare<[string], { body: Uint8Array }>(
      "SELECT body FROM rows WHERE kind = 'vault' AND vault_id = ?",
    );
    this.#read = () => {
      const found = select.get(vaultId);
      if (!found) throw new Error("the vault is not stored");
      return decodeVault(found.body);
    };
  }

  async until(holds: (vault: VaultBody) => boolean): Promise<void> {
    const beganMs = instantMs();
    while (!holds(this.#read())) {
      if (instantMs() - beganMs > resealingMsMax) throw new Error("the vault is not sealed anew");
      await pause(5);
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
