import { type ActivityBetween, activityBetween, readActivity } from "../test/support/proc.ts";
import { call, initPair, Sites } from "../test/support/processes.ts";
import { pause } from "./support/instant.ts";
import { entryText } from "./support/sample-entry.ts";
import { printTable } from "./support/table.ts";

const writes = 20;
const settleMs = 20_000;
const watchMs = 60_000;

/** What a pair does once nobody writes and nobody is connected, by /proc, which no thread of it notices. */
export async function asleep(): Promise<void> {
  await using sites = await Sites.inTemporaryFolder();
  const { calgary, zurich } = await initPair(sites);
  await zurich.start();
  await calgary.start();
  const made = await call(calgary, { method: "POST", path: "/api/vaults", body: { name: "Harbour" } });
  const { vault_id: vaultId, token } = made.body as { vault_id: string; token: string };
  for (let i = 0; i < writes; i += 1) {
    const path = `/api/vaults/${vaultId}/entries`;
    await call(calgary, { method: "POST", path, token, body: JSON.parse(entryText) });
  }
  await pause(settleMs);
  const before = [calgary, zurich].map((site) => readActivity(site.pid));
  await pause(watchMs);
  const after = [calgary, zurich].map((site) => readActivity(site.pid));
  const describe = (name: string, index: number): (string | number)[] => {
    const [first, last] = [before[index], after[index]];
    if (!first || !last) throw new Error(`${name} was not read`);
    const { switchesTotal, readBytes, writtenBytes }: ActivityBetween = activityBetween(first, last);
    return [name, first.switches.size, switchesTotal, readBytes, writtenBytes];
  };
  printTable(
    `Asleep: ${watchMs / 1000} s, beginning ${settleMs / 1000} s after the last of ${writes} writes (aim: 0)`,
    ["process", "threads", "context switches", "bytes read", "bytes written"],
    [describe("calgary, the primary", 0), describe("zurich, the backup", 1)],
  );
}
