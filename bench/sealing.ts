import { type BenchSite, makeCommunitySite, withoutSealing } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryTextOf } from "./support/sample-entry.ts";
import { median, quantile } from "./support/statistics.ts";
import { printTable, showCount, showMs, showRatio } from "./support/table.ts";

const sizes = { "300 B": 300, "4 kB": 4_000 } as const;
const keptVersions = 20;
const createsPerTurn = 20;
const turnsPerRun = 4;
const warmUpTurns = 6;

/** Sites that differ in nothing but this. */
const variants = ["sealed", "plain", "withoutHistory"] as const;
type Variant = (typeof variants)[number];

const series = ["create", "edit", "lateEdit"] as const;
type Series = (typeof series)[number];

/** Medians of one turn of all, in ms. */
type Turn = Readonly<Record<Variant, Readonly<Record<Series, number>>>>;
type Writers = Readonly<Record<Variant, Writer>>;

/**
 * What sealing costs a client's write, and what an entry's history costs its edits. Each variant is a site in a process of its
 * own with the whole of HTTP, the store and the disk; they take turns.
 */
export async function sealing({ folder, runs }: Plan): Promise<void> {
  await using sealed = await makeCommunitySite(folder, "sealed", { keep_versions: keptVersions });
  await using plain = await makeCommunitySite(folder, "plain", { keep_versions: keptVersions });
  await using withoutHistory = await makeCommunitySite(folder, "without-history", { keep_versions: 0 });
  await sealed.start();
  await plain.start(...withoutSealing);
  await withoutHistory.start();
  await using ours = await Writer.of(sealed);
  await using bare = await Writer.of(plain);
  await using forgetful = await Writer.of(withoutHistory);
  const writers = { sealed: ours, plain: bare, withoutHistory: forgetful };
  const measured: { readonly size: string; readonly turns: readonly Turn[] }[] = [];
  for (const [size, bytes] of Object.entries(sizes)) {
    for (let turn = 0; turn < warmUpTurns; turn += 1) await takeTurns(writers, bytes);
    const turns: Turn[] = [];
    for (let turn = 0; turn < turnsPerRun * runs; turn += 1) turns.push(await takeTurns(writers, bytes));
    measured.push({ size, turns });
  }
  printSealing(measured);
  printHistory(measured);
}

/**
 * Creates entries, and edits the last one until its history is full and then as often again. The variants take turns write by
 * write, so that whatever else the machine does meets all alike.
 */
async function takeTurns(writers: Writers, bytes: number): Promise<Turn> {
  const create = await inTurns(createsPerTurn, writers, (writer) => writer.create(bytes));
  const edit = await inTurns(keptVersions, writers, (writer) => writer.edit(bytes));
  const lateEdit = await inTurns(keptVersions, writers, (writer) => writer.edit(bytes));
  const of = (name: Variant) => ({ create: create[name], edit: edit[name], lateEdit: lateEdit[name] });
  return { sealed: of("sealed"), plain: of("plain"), withoutHistory: of("withoutHistory") };
}

async function inTurns(
  count: number,
  writers: Writers,
  write: (writer: Writer) => Promise<number>,
): Promise<Readonly<Record<Variant, number>>> {
  const times: Record<Variant, number[]> = { sealed: [], plain: [], withoutHistory: [] };
  for (let i = 0; i < count; i += 1) {
    for (const name of variants) times[name].push(await write(writers[name]));
  }
  return {
    sealed: median(times.sealed),
    plain: median(times.plain),
    withoutHistory: median(times.withoutHistory),
  };
}

/** A client of one site. Each write resolves with the ms until its 2xx. */
class Writer implements AsyncDisposable {
  readonly #client: Client;
  readonly #path: string;
  #entryId = "";

  private constructor(client: Client, path: string) {
    this.#client = client;
    this.#path = path;
  }

  static async of(site: BenchSite): Promise<Writer> {
    const vault = await site.createVault();
    return new Writer(new Client(site.files.url, vault.token), vault.path);
  }

  async create(bytes: number): Promise<number> {
    const text = entryTextOf(bytes);
    const beganMs = instantMs();
    const { entry_id } = await this.#client.call<{ entry_id: string }>("POST", this.#path, text);
    const tookMs = instantMs() - beganMs;
    this.#entryId = entry_id;
    return tookMs;
  }

  /** Replaces the entry that was created last by another of that size. */
  async edit(bytes: number): Promise<number> {
    const text = entryTextOf(bytes);
    const beganMs = instantMs();
    await this.#client.call("PUT", `${this.#path}/${this.#entryId}`, text);
    return instantMs() - beganMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

type Measured = { readonly size: string; readonly turns: readonly Turn[] };

const titles: Readonly<Record<Series, string>> = {
  create: "create",
  edit: "edit, which keeps the version before",
  lateEdit: `edit, which also buries the ${keptVersions + 1}st version`,
};

function printSealing(measured: readonly Measured[]): void {
  const rows = measured.flatMap(({ size, turns }) =>
    series.map((name) => [
      `${titles[name]}, ${size}`,
      showMs(median(turns.map(({ sealed }) => sealed[name]))),
      showMs(median(turns.map(({ plain }) => plain[name]))),
      ...ratios(turns, ({ sealed, plain }) => sealed[name] / plain[name]),
      "<= 1.50",
    ]),
  );
  printTable(
    `Sealing on a client's write until its 2xx, p50, medians of ${showCount(turnCount(measured))} turns`,
    ["", "with", "without", "ratio", "of half of the turns", "aim"],
    rows,
  );
}

function printHistory(measured: readonly Measured[]): void {
  const rows = measured.flatMap(({ size, turns }) =>
    (["edit", "lateEdit"] as const).map((name) => [
      `${titles[name]}, ${size}`,
      showMs(median(turns.map(({ sealed }) => sealed[name]))),
      showMs(median(turns.map(({ withoutHistory }) => withoutHistory[name]))),
      ...ratios(turns, ({ sealed, withoutHistory }) => sealed[name] / withoutHistory[name]),
    ]),
  );
  printTable(
    `History on a client's edit, sealed, until its 2xx: the same with keep_versions ${keptVersions} and 0`,
    ["", `${keptVersions}`, "0", "ratio", "of half of the turns"],
    rows,
  );
}

/** The median, and between which two the half in the middle lies. */
function ratios(turns: readonly Turn[], of: (turn: Turn) => number): readonly string[] {
  const all = turns.map(of);
  return [showRatio(median(all)), `${showRatio(quantile(all, 0.25))} to ${showRatio(quantile(all, 0.75))}`];
}

function turnCount([first]: readonly Measured[]): number {
  return first?.turns.length ?? 0;
}
