import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SeededRandom } from "../support/ports.ts";
import { call, dormouse, initPair, type Pair, type SiteProcess, Sites } from "../support/processes.ts";
import { differences, readEntries, type Vault, Writers } from "../support/writers.ts";

/** Failovers as an operator makes them: with the command, on real processes. */

const replication = { backoff: { base_ms: 50, factor: 2, cap_ms: 400, probe_ms: 400 } };

let sites: Sites;
let pair: Pair;
let vault: Vault;

beforeEach(async () => {
  sites = await Sites.inTemporaryFolder();
  pair = await initPair(sites, replication);
  await Promise.all([pair.calgary.start(), pair.zurich.start()]);
  const created = await call(pair.calgary, { method: "POST", path: "/api/vaults", body: { name: "team" } });
  const { vault_id: vaultId, token } = created.body as { vault_id: string; token: string };
  vault = { vaultId, token };
  await addEntry(pair.calgary, "first", { prefer: "wait=10" });
});
afterEach(() => sites[Symbol.asyncDispose]());

type Fields = Readonly<Record<string, unknown>>;

/** The result of a command, and its exit status with what it said where it failed. */
async function on(site: SiteProcess, ...args: readonly string[]): Promise<Fields> {
  const { status, stdout, stderr } = await dormouse([...args, "--config", site.configPath, "--json"]);
  return status === 0 ? (JSON.parse(stdout) as Fields) : { status, stderr };
}

async function addEntry(
  site: SiteProcess,
  title: string,
  wish: { readonly prefer?: string } = {},
): Promise<string> {
  const { status, body } = await call(site, {
    method: "POST",
    path: `/api/vaults/${vault.vaultId}/entries`,
    token: vault.token,
    body: { type: "note", title },
    ...wish,
  });
  if (status !== 201) throw new Error(`${site.site} answered ${status}`);
  return (body as { entry_id: string }).entry_id;
}

async function statusOf(site: SiteProcess): Promise<Fields> {
  return (await call(site, { path: "/api/replication" })).body as Fields;
}

/** Asks until it holds: two processes tell nobody when they have settled something between them. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it never came to be that ${what}`);
  }
}

describe("a planned promotion", () => {
  it("under load loses nothing, and hands the role over and back", async () => {
    const { calgary, zurich } = pair;
    const writers = new Writers(calgary, vault, new SeededRandom(7));
    await writers.acknowledged(30);
    const forth = on(zurich, "promote", "--yes");
    expect(await forth).toMatchObject({ site: "zurich", role: "primary", epoch: 2, result: "promoted" });
    const ledger = await writers.stop();
    expect(await statusOf(calgary)).toMatchObject({ role: "backup", epoch: 2 });
    expect(await on(calgary, "promote", "--yes")).toMatchObject({ epoch: 3, result: "promoted" });
    const [here, there] = [await readEntries(calgary, vault), await readEntries(zurich, vault)];
    expect(differences(here, there)).toEqual([]);
    // Refused writes are what a promotion costs; the first entry is not of these writers.
    const expected = /: HTTP 503$|: written by nobody$/;
    expect(ledger.disagreements(here).filter((text) => !expected.test(text))).toEqual([]);
    expect(await on(calgary, "verify")).toMatchObject({ equal: true });
  }, 60_000);
});

describe("a forced promotion", () => {
  it("goes on without the primary, which is fenced when it is back, comes home, and has its own writes listed", async () => {
    const { calgary, zurich } = pair;
    await zurich.kill();
    await addEntry(calgary, "never pushed");
    await calgary.kill();
    await zurich.start();
    expect(await on(zurich, "promote", "--yes")).toMatchObject({ status: 7 });
    expect(await on(zurich, "promote", "--force", "--yes")).toMatchObject({ epoch: 2, result: "promoted" });
    await addEntry(zurich, "written since");
    await calgary.start();
    await until("calgary is fenced", async () => (await statusOf(calgary))["fenced"] !== null);
    expect(await statusOf(calgary)).toMatchObject({ fenced: "primary_superseded" });
    expect(await on(calgary, "rejoin")).toMatchObject({ role: "backup", winner: "zurich", put_aside: 1 });
    await until("the row is listed", async () => {
      const { stranded } = await on(zurich, "stranded", "list");
      return (stranded as readonly unknown[]).length === 1;
    });
    expect(await on(zurich, "stranded", "reapply", "--all", "--yes")).toMatchObject({ settled: 1, left: 0 });
    await until("both are equal", async () => (await on(zurich, "verify"))["equal"] === true);
    const titles = async (site: SiteProcess) => (await readEntries(site, vault)).size;
    expect([await titles(calgary), await titles(zurich)]).toEqual([3, 3]);
  }, 60_000);
});

describe("a primary that was restored from a snapshot", () => {
  it("is fenced when it meets its backup, and recovers what it lacks", async () => {
    const { calgary, zurich } = pair;
    const file = join(sites.folder, "older.snapshot");
    expect(await on(calgary, "snapshot", "create", file)).toMatchObject({ path: file });
    await addEntry(calgary, "after the snapshot");
    await until("zurich has it", async () => (await readEntries(zurich, vault)).size === 2);
    expect(await calgary.stop()).toBe(0);
    await rm(calgary.dataPath, { recursive: true });
    expect(await on(calgary, "snapshot", "restore", file)).not.toHaveProperty("status");
    await calgary.start();
    await until("calgary is fenced", async () => (await statusOf(calgary))["fenced"] !== null);
    expect(await on(calgary, "promote", "--force", "--yes")).toMatchObject({ status: expect.any(Number) });
    expect(await on(calgary, "recover", "--yes")).toMatchObject({ role: "primary", epoch: 3, put_aside: 0 });
    expect((await readEntries(calgary, vault)).size).toBe(2);
    await until("both are equal", async () => (await on(calgary, "verify"))["equal"] === true);
  }, 60_000);
});
