import { describe, expect, it } from "vitest";
import { call, initPair, type SiteProcess, Sites } from "../support/processes.ts";
import { createVault, drained, type Vault } from "../support/replicated-vault.ts";

const burstWrites = 50;

async function pushesOf(primary: SiteProcess): Promise<number> {
  const [peer] = (await drained(primary)).peers;
  return peer?.counters.pushes ?? Number.NaN;
}

const note = (n: number) => ({ type: "note", title: `Note ${n}`, notes: "The key lies under the mat." });
const notes = Array.from({ length: burstWrites }, (_, n) => note(n));

async function post(primary: SiteProcess, { path, token }: Vault, body: object): Promise<void> {
  const { status } = await call(primary, { method: "POST", path, token, body });
  expect(status).toBe(201);
}

/** A pair that has just started, and a vault on it that is at both sites. */
async function freshPair(sites: Sites): Promise<{ readonly calgary: SiteProcess; readonly vault: Vault }> {
  const { calgary, zurich } = await initPair(sites);
  await zurich.start();
  await calgary.start();
  return { calgary, vault: await createVault(calgary) };
}

describe("on a pair that has just started", { timeout: 120_000 }, () => {
  it("fifty clients that write at once cost two pushes at most, and so do the next fifty", async () => {
    await using sites = await Sites.inTemporaryFolder();
    const { calgary, vault } = await freshPair(sites);
    for (const burst of ["cold", "warm"]) {
      const before = await pushesOf(calgary);
      await Promise.all(notes.map((body) => post(calgary, vault, body)));
      expect((await pushesOf(calgary)) - before, burst).toBeLessThanOrEqual(2);
    }
  });

  it("an import of fifty costs one push, and a write that waits for the backup does not wait for itself", async () => {
    await using sites = await Sites.inTemporaryFolder();
    const { calgary, vault } = await freshPair(sites);
    const before = await pushesOf(calgary);
    await post(calgary, { ...vault, path: `${vault.path}/import` }, { entries: notes });
    expect((await pushesOf(calgary)) - before).toBe(1);
    const request = {
      method: "POST",
      path: vault.path,
      token: vault.token,
      body: note(0),
      prefer: "wait=20",
    };
    const { body } = await call(calgary, request);
    expect(body).toMatchObject({ replication: { dirty: false, backups: { zurich: true } } });
  });
});
