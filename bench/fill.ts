import { type BenchSite, drained, makePair, seqOf } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { importText } from "./support/sample-entry.ts";
import { printTable, showBytes, showCount, showMs } from "./support/table.ts";

const sizes = [100_000, 1_000_000] as const;
const importedEntries = 10_000;

/** An empty backup comes to a primary that holds much. */
export async function fill(plan: Plan): Promise<void> {
  for (const rows of sizes) await measureFill(plan, rows);
}

/** What both sites hold once so much of it is filled: what is in use after a collection, and what is resident. */
type Memory = {
  readonly drained: number;
  readonly primary: { readonly live: number; readonly resident: number };
  readonly backup: { readonly live: number; readonly resident: number };
};

async function memoryOf({ child }: BenchSite): Promise<Memory["primary"]> {
  return { live: await child.call<number>("liveBytes"), resident: child.residentBytes() };
}

async function measureFill({ folder }: Plan, entries: number): Promise<void> {
  const { calgary, zurich } = await makePair(folder, `fill-${entries}`);
  await using backup = zurich;
  await using primary = calgary;
  await build(primary, entries);
  await primary.start();
  await pause(1_000);
  const { dirty, head } = await primary.status();
  const rows = seqOf(`"${head}"`);
  await backup.start();
  const memory: Memory[] = [];
  const look = async (drained: number): Promise<void> => {
    memory.push({ drained, primary: await memoryOf(primary), backup: await memoryOf(backup) });
  };
  for (const share of [0.01, 0.25, 0.5, 0.75, 1]) {
    await backup.child.visible(Math.ceil(share * rows));
    await look(share);
  }
  const tookMs = (await backup.child.visible(rows)) - (await backup.child.visible(1));
  const { peers } = await drained(primary);
  const counters = peers?.[0]?.counters;
  await pause(10_000);
  await look(1);
  printTable(
    `An empty backup comes to a primary of ${showCount(dirty)} rows`,
    ["", "", "aim"],
    [
      ["first push until equal", showMs(tookMs), ""],
      ["rows a second", showCount((dirty / tookMs) * 1000), ""],
      ["pushes", counters?.pushes ?? "", ""],
      ["bytes sent", showBytes(counters?.bytes ?? 0), ""],
    ],
  );
  printTable(
    "Memory while it fills, and 10 s later (aim: what is live stays flat)",
    ["filled", "primary live", "resident", "backup live", "resident"],
    memory.map(({ drained: share, primary: p, backup: b }) => [
      `${share * 100} %`,
      ...[p.live, p.resident, b.live, b.resident].map(showBytes),
    ]),
  );
}

/** Leaves the primary stopped, with everything written while it knew of a backup that was never there. */
async function build(primary: BenchSite, entries: number): Promise<void> {
  await primary.start();
  const vault = await primary.createVault();
  await using client = new Client(primary.files.url, vault.token);
  const text = importText(importedEntries);
  for (let rows = 0; rows < entries; rows += importedEntries) {
    await client.call("POST", `${vault.path}/import`, text);
  }
  await primary.stop();
}
