import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { SeededRandom } from "../support/ports.ts";
import { call, initPair, type Pair, type SiteProcess, Sites } from "../support/processes.ts";
import { differences, readEntries, type Vault, Writers } from "../support/writers.ts";

const rounds = 24;
const drainDeadlineMs = 30_000;
/** Short waits: what is under test is what survives, not how long a backoff is. */
const replication = { backoff: { base_ms: 50, factor: 2, cap_ms: 400, probe_ms: 400 } };

/** KILL_SEED repeats a run's choices; the machine's own timing differs all the same. */
const seed = Number(process.env.KILL_SEED ?? Date.now() % 1_000_000_007);

it(`nothing acknowledged is lost in ${rounds} kills of either side under load (KILL_SEED=${seed})`, {
  timeout: 300_000,
}, async () => {
  const random = new SeededRandom(seed);
  await using sites = await Sites.inTemporaryFolder();
  const pair = await initPair(sites, replication);
  await pair.calgary.start();
  await pair.zurich.start();
  const vault = await createVault(pair.calgary);
  await using writers = new Writers(pair.calgary, vault, random);

  for (let round = 1; round <= rounds; round += 1) await killOnce(round, pair, writers, random);
  await writers.acknowledged(20);
  const ledger = await writers.stop();
  await untilDrained(pair);

  const [here, there] = [await readEntries(pair.calgary, vault), await readEntries(pair.zurich, vault)];
  expect(differences(here, there)).toEqual([]);
  expect(ledger.disagreements(here)).toEqual([]);
  expect(ledger.acknowledged).toBeGreaterThan(rounds * 10);
  expect(await Promise.all([pair.calgary.stop(), pair.zurich.stop()])).toEqual([0, 0]);
});

async function createVault(site: SiteProcess): Promise<Vault> {
  const { status, body } = await call(site, { method: "POST", path: "/api/vaults", body: { name: "kill" } });
  if (status !== 201) throw new Error(`the vault was not created: HTTP ${status}`);
  const { vault_id: vaultId, token } = body as { vault_id: string; token: string };
  return { vaultId, token };
}

/** Kills one side, and every sixth time both, at a moment that the load and the seed choose, and starts it again. */
async function killOnce(round: number, pair: Pair, writers: Writers, random: SeededRandom): Promise<void> {
  await writers.acknowledged(1 + Math.floor(random.fraction() * 40));
  await delay(random.fraction() * 10);
  const isZurich = round % 2 === 0;
  const isCalgary = round % 2 === 1 || round % 6 === 0;
  await Promise.all([isCalgary ? pair.calgary.kill() : null, isZurich ? pair.zurich.kill() : null]);
  if (isCalgary) await pair.calgary.start();
  if (isZurich) {
    // Sometimes back at once, sometimes with a backlog to catch up on.
    if (random.fraction() < 0.5) await writers.acknowledged(Math.floor(random.fraction() * 100));
    await pair.zurich.start();
  }
}

type Status = {
  readonly head: string;
  readonly applied?: string;
  readonly dirty: number;
  readonly peers?: readonly { readonly acked: string | null; readonly quarantined: number }[];
};

/** Resolves when calgary has nothing left to push and zurich has applied its head. */
async function untilDrained(pair: Pair): Promise<void> {
  const deadline = performance.now() + drainDeadlineMs;
  for (;;) {
    const here = (await call(pair.calgary, { path: "/api/replication" })).body as Status;
    const there = (await call(pair.zurich, { path: "/api/replication" })).body as Status;
    const isDrained = here.dirty === 0 && here.peers?.every(({ acked }) => acked === here.head);
    if (isDrained && there.applied === here.head) {
      expect(here.peers?.map(({ quarantined }) => quarantined)).toEqual([0]);
      return;
    }
    if (performance.now() > deadline) throw new Error(`not drained: ${JSON.stringify([here, there])}`);
    // Two processes, and no event from either: the status is all there is to ask.
    await delay(50);
  }
}
