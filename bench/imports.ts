import { type BenchPair, drained, makePair, seqOf, type Vault } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { recordDelay, type Watched, watchDelay } from "./support/delays.ts";
import { instantMs } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs } from "./support/table.ts";

const importedEntries = 10_000;

type Running = BenchPair & { readonly vault: Vault };

async function pushesOf({ calgary }: BenchPair): Promise<number> {
  const { peers } = await drained(calgary);
  return peers?.[0]?.counters.pushes ?? Number.NaN;
}

type Import = Watched & {
  readonly answeredMs: number;
  readonly equalMs: number;
  readonly pushes: number;
};

/** One large import in one call. */
export async function imports({ folder, runs }: Plan): Promise<void> {
  const { calgary, zurich } = await makePair(folder, "import");
  await using backup = zurich;
  await using primary = calgary;
  await backup.start();
  await primary.start();
  const running = { calgary, zurich, vault: await calgary.createVault() };
  await using client = new Client(calgary.files.url, running.vault.token);
  await importInto(running, client, importText(1_000));
  const text = importText(importedEntries);
  const measured: Import[] = [];
  for (let run = 0; run < runs; run += 1) {
    const before = await pushesOf(running);
    let times = { answeredMs: Number.NaN, equalMs: Number.NaN };
    const watched = await watchDelay(calgary.child, async () => {
      times = await importInto(running, client, text);
    });
    measured.push({ ...watched, ...times, pushes: (await pushesOf(running)) - before });
  }
  const of = (name: keyof Import): number => median(measured.map((one) => one[name]));
  printTable(
    `An import of ${showCount(importedEntries)} entries in one call, medians of ${runs} runs`,
    ["", "", "aim"],
    [
      ["until the 201", showMs(of("answeredMs")), ""],
      ["until both are equal", showMs(of("equalMs")), ""],
      ["rows a second", showCount((importedEntries / of("equalMs")) * 1000), ""],
      ["pushes", of("pushes"), `<= ${importedEntries / 100}`],
    ],
  );
  recordDelay(`an import of ${showCount(importedEntries)}, primary`, measured);
}

async function importInto(
  { zurich, calgary, vault }: Running,
  client: Client,
  text: string,
): Promise<{ readonly answeredMs: number; readonly equalMs: number }> {
  const beganMs = instantMs();
  await client.call("POST", `${vault.path}/import`, text);
  const answeredMs = instantMs() - beganMs;
  const { head } = await calgary.status();
  return { answeredMs, equalMs: (await zurich.child.visible(seqOf(`"${head}"`))) - beganMs };
}
