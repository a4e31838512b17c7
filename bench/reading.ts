import { type BenchSite, makeCommunitySite, type Vault, withoutSealing } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { recordDelay, type Watched, watchDelay } from "./support/delays.ts";
import type { Plan } from "./support/plan.ts";
import { importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs, showRatio } from "./support/table.ts";

const sizes = [1_000, 10_000] as const;
const timesPerRun = 2;
const pageLimit = 500;
/** Stands in no entry: the search opens and looks through every one of them. */
const absent = "nowhere";

type Page = { readonly entries: readonly unknown[]; readonly next_cursor: string | null };

/** A way of reading a whole vault. */
const ways = {
  [`listing all, ${pageLimit} in a page`]: listAll,
  "a search that finds nothing, in one call": searchAll,
} as const;

/** Every entry of a vault opened: listed to a client, or searched. */
export async function reading({ folder, runs }: Plan): Promise<void> {
  await using sealed = await makeCommunitySite(folder, "reading-sealed");
  await using plain = await makeCommunitySite(folder, "reading-plain");
  await sealed.start();
  await plain.start(...withoutSealing);
  const rows: string[][] = [];
  for (const size of sizes) {
    const sides = { sealed: await fillVault(sealed, size), plain: await fillVault(plain, size) };
    for (const [title, way] of Object.entries(ways)) {
      const measured = await compare({ sealed, plain }, sides, { size, way, times: runs * timesPerRun });
      rows.push([showCount(size), title, ...describe(measured)]);
      recordDelay(
        `${showCount(size)} entries: ${title}`,
        measured.map((one) => one.sealed),
      );
    }
  }
  printTable(
    `Reading a whole vault, medians of ${runs * timesPerRun} times in turns`,
    ["entries", "", "sealed", "not sealed", "ratio"],
    rows,
  );
}

async function fillVault(site: BenchSite, entries: number): Promise<Vault> {
  const vault = await site.createVault();
  await using client = new Client(site.files.url, vault.token);
  await client.call("POST", `${vault.path}/import`, importText(entries));
  return vault;
}

type Sides<T> = Readonly<Record<"sealed" | "plain", T>>;
type Way = (client: Client, vault: Vault, size: number) => Promise<void>;
type Work = { readonly size: number; readonly way: Way; readonly times: number };

async function compare(
  sites: Sides<BenchSite>,
  vaults: Sides<Vault>,
  { size, way, times }: Work,
): Promise<readonly Sides<Watched>[]> {
  await using sealed = new Client(sites.sealed.files.url, vaults.sealed.token);
  await using plain = new Client(sites.plain.files.url, vaults.plain.token);
  const clients = { sealed, plain };
  const once = (side: keyof Sides<unknown>) =>
    watchDelay(sites[side].child, () => way(clients[side], vaults[side], size));
  const measured: Sides<Watched>[] = [];
  for (const side of ["sealed", "plain"] as const) for (let i = 0; i < timesPerRun; i += 1) await once(side);
  for (let i = 0; i < times; i += 1) {
    measured.push({ sealed: await once("sealed"), plain: await once("plain") });
  }
  return measured;
}

async function listAll(client: Client, { path }: Vault, size: number): Promise<void> {
  let listed = 0;
  let cursor = "";
  for (;;) {
    const page: Page = await client.call<Page>("GET", `${path}?limit=${pageLimit}${cursor}`);
    listed += page.entries.length;
    if (page.next_cursor === null) break;
    cursor = `&cursor=${page.next_cursor}`;
  }
  if (listed !== size) throw new Error(`${listed} of ${size} entries were listed`);
}

async function searchAll(client: Client, { path }: Vault): Promise<void> {
  const { entries, next_cursor: next } = await client.call<Page>(
    "POST",
    `${path}/search`,
    JSON.stringify({ query: absent }),
  );
  if (entries.length !== 0 || next !== null) throw new Error("the search has found what is not there");
}

function describe(measured: readonly Sides<Watched>[]): readonly string[] {
  const of = (value: (one: Sides<Watched>) => number): number => median(measured.map(value));
  return [
    showMs(of(({ sealed }) => sealed.ms)),
    showMs(of(({ plain }) => plain.ms)),
    showRatio(of(({ sealed, plain }) => sealed.ms / plain.ms)),
  ];
}
