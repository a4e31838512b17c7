import { describe, expect, it } from "vitest";
import { type Activity, activityBetween, readActivity } from "../support/proc.ts";
import { call, initPair, type Pair, Sites, type SiteProcess } from "../support/processes.ts";

const settleMs = 20_000;
const watchMs = 30_000;

// Real time is what is measured here: nothing else can show that nothing happens.
const pass = (ms: number) => new Promise((done) => setTimeout(done, ms));

async function writeEntries(primary: SiteProcess, count: number): Promise<void> {
  const made = await call(primary, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
  const { vault_id: vaultId, token } = made.body as { vault_id: string; token: string };
  for (let n = 0; n < count; n += 1) {
    const body = { type: "note", title: `Note ${n}`, notes: "The key lies under the mat." };
    const answer = await call(primary, {
      method: "POST",
      path: `/api/vaults/${vaultId}/entries`,
      token,
      body,
    });
    expect(answer.status).toBe(201);
  }
}

type Status = { head: string; dirty: number; peers: { state: string; acked: string | null }[] };

/** Resolves when the worker sleeps with everything acknowledged. */
async function drained(primary: SiteProcess): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    const { body } = await call(primary, { path: "/api/replication" });
    const { head, dirty, peers } = body as Status;
    if (dirty === 0 && peers.every((peer) => peer.state === "asleep" && peer.acked === head)) return;
    await pass(50);
  }
  throw new Error(`calgary did not drain:\n${primary.output}`);
}

function readBoth(pair: Pair): readonly [Activity, Activity] {
  return [readActivity(pair.calgary.pid), readActivity(pair.zurich.pid)];
}

describe("asleep", () => {
  it("20 s after the last write no thread of either site wakes and no byte moves for 30 s", {
    timeout: settleMs + watchMs + 60_000,
  }, async () => {
    await using sites = await Sites.inTemporaryFolder();
    const pair = await initPair(sites);
    await pair.zurich.start();
    await pair.calgary.start();
    await writeEntries(pair.calgary, 20);
    await drained(pair.calgary);

    await pass(settleMs);
    const before = readBoth(pair);
    await pass(watchMs);
    const after = readBoth(pair);

    const nothing = { switches: {}, switchesTotal: 0, readBytes: 0, writtenBytes: 0 };
    expect({
      calgary: activityBetween(before[0], after[0]),
      zurich: activityBetween(before[1], after[1]),
    }).toEqual({ calgary: nothing, zurich: nothing });
  });
});
