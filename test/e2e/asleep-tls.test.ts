import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeAuthority, makeIdentity } from "../support/certificates.ts";
import { activityBetween, readActivity } from "../support/proc.ts";
import { Sites } from "../support/processes.ts";
import { backupWhere, initTlsPair, trust, writeVault } from "../support/tls-pair.ts";

const settleMs = 20_000;
const watchMs = 30_000;

// Real time is what is measured here: nothing else can show that nothing happens.
const pass = (ms: number) => new Promise((done) => setTimeout(done, ms));

describe("asleep with TLS", () => {
  it("20 s after the last write no thread of either site wakes and no byte moves for 30 s", {
    timeout: settleMs + watchMs + 60_000,
  }, async () => {
    await using sites = await Sites.inTemporaryFolder();
    const ca = await makeAuthority("the pair's authority");
    await writeFile(join(sites.folder, "ca.crt"), ca.cert);
    trust(ca);
    const side = async (site: string) => ({
      identity: await makeIdentity(site, { ca }),
      demands: { ca: "ca.crt", cert: `${site}.crt`, key: `${site}.key` },
      listen: { client_ca: "ca.crt" },
    });
    const pair = await initTlsPair(sites, { calgary: await side("calgary"), zurich: await side("zurich") });
    await pair.zurich.start();
    await pair.calgary.start();
    for (let n = 0; n < 10; n += 1) await writeVault(pair.calgary);
    await backupWhere(pair.calgary, ({ state, acked }, head) => state === "asleep" && acked === head);
    // Certificates are read again, and nothing of that stays awake.
    process.kill(pair.calgary.pid, "SIGHUP");

    await pass(settleMs);
    const before = [readActivity(pair.calgary.pid), readActivity(pair.zurich.pid)] as const;
    await pass(watchMs);
    const after = [readActivity(pair.calgary.pid), readActivity(pair.zurich.pid)] as const;

    const nothing = { switches: {}, switchesTotal: 0, readBytes: 0, writtenBytes: 0 };
    expect({
      calgary: activityBetween(before[0], after[0]),
      zurich: activityBetween(before[1], after[1]),
    }).toEqual({ calgary: nothing, zurich: nothing });
    expect(pair.calgary.output).toContain("reloaded the TLS certificate");
  });
});
