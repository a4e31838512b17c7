import { median } from "./statistics.ts";
import { printTable, showCount, showMs, showRatio } from "./table.ts";

/** What is measured of a pair; times in ms. */
export type Figures = {
  readonly ackMs: number;
  readonly visibleMs: number;
  readonly burstMs: number;
  readonly burstPushes: number;
  readonly coldMs: number;
  readonly coldPushes: number;
  readonly writesPerSecond: number;
  readonly cpuMs: number;
  readonly systemCpuMs: number;
  readonly storedBytes: number;
  readonly batchesMs: number;
  readonly batchesAckedMs: number;
  readonly restBytes: number;
  readonly restFileBytes: number;
  readonly busyBytes: number;
  readonly busyFileBytes: number;
  readonly drainRowsPerSecond: number;
  readonly drainPrimaryCpu: number;
  readonly drainBackupCpu: number;
  readonly returnMs: number;
  readonly listenMs: number;
  readonly readMs: number;
  readonly healthMs: number;
  /** Of the floor: `node -e 0`. */
  readonly commandMs: number;
};

/** One run: a fresh pair of each. */
export type Run = { readonly ours: Figures; readonly floor: Figures; readonly versionMs: number };

type Aim = { readonly text: string; readonly isMet: (figure: number, ratio: number) => boolean };

type Row = {
  readonly title: string;
  readonly name: keyof Figures;
  readonly show: (value: number) => string;
  readonly aim?: Aim;
  /** What the figure is made of, measured in the same runs. */
  readonly madeOf?: (ours: Figures, floor: Figures, versionMs: number) => string;
};

const times = (limit: number): Aim => ({
  text: `<= ${limit} times the floor's`,
  isMet: (_, ratio) => ratio <= limit,
});
const most = (limit: number, text: string): Aim => ({
  text: `<= ${text}`,
  isMet: (figure) => figure <= limit,
});
const least = (limit: number): Aim => ({
  text: `>= ${showCount(limit)}`,
  isMet: (figure) => figure >= limit,
});
const mebibyte = 2 ** 20;
const showMebibytes = (bytes: number): string => `${(bytes / mebibyte).toFixed(0)} MiB`;
const mostMebibytes = (limit: number): Aim => most(limit * mebibyte, `${limit} MiB`);
const share = (part: number): string => `${Math.round(part * 100)} %`;

const rows: readonly Row[] = [
  {
    title: "a write of 400 bytes, acknowledged, p50",
    name: "ackMs",
    show: showMs,
    aim: times(1.5),
    madeOf: (ours, floor) =>
      `HTTP ${showMs(ours.healthMs)} (GET /healthz); a commit and its flush ${showMs(floor.ackMs - floor.healthMs)} (the floor's); access, checks, sealing, proof, history, audit and a log line ${showMs(ours.ackMs - ours.healthMs - floor.ackMs + floor.healthMs)}`,
  },
  {
    title: "the same, visible on the backup, p50",
    name: "visibleMs",
    show: showMs,
    aim: times(1.5),
    madeOf: (ours, floor) =>
      `acknowledged ${showMs(ours.ackMs)}, then push, flush there and the read that shows it ${showMs(ours.visibleMs - ours.ackMs)} (the floor's ${showMs(floor.visibleMs - floor.ackMs)}; one such read alone ${showMs(ours.readMs)}, the floor's ${showMs(floor.readMs)})`,
  },
  {
    title: "a burst of 50, all visible",
    name: "burstMs",
    show: showMs,
    aim: times(2.5),
    madeOf: (ours, floor) =>
      `${ours.burstPushes} pushes; 50 times the primary's CPU for a write with 64 in flight is ${showMs(50 * ours.cpuMs)} (the floor's ${showMs(50 * floor.cpuMs)})`,
  },
  {
    title: "pushes for a burst of 50, warm, the most of five",
    name: "burstPushes",
    show: String,
    aim: most(2, "2"),
  },
  {
    title: "pushes for a burst of 50, on a pair started a second ago",
    name: "coldPushes",
    show: String,
    aim: most(2, "2"),
    madeOf: (ours) => `the burst took ${showMs(ours.coldMs)} until all were visible`,
  },
  { title: "until all of that are visible", name: "coldMs", show: showMs },
  {
    title: "10,000 single writes, 64 in flight: acknowledged a second",
    name: "writesPerSecond",
    show: showCount,
    aim: least(2_500),
    madeOf: (ours) =>
      `${showMs(1_000 / ours.writesPerSecond)} a write, of which the primary's CPU is ${showMs(ours.cpuMs)}; client and backup share the cores`,
  },
  {
    title: "primary's CPU for one of these writes",
    name: "cpuMs",
    show: showMs,
    aim: most(0.35, "0.35 ms"),
    madeOf: (ours, floor) =>
      `${showMs(ours.cpuMs - ours.systemCpuMs)} in the program, ${showMs(ours.systemCpuMs)} in the system; the floor's ${showMs(floor.cpuMs)} is HTTP and a commit`,
  },
  {
    title: "bytes written for these 10,000, primary, with its log",
    name: "storedBytes",
    show: showMebibytes,
    aim: mostMebibytes(60),
    madeOf: (ours, floor) =>
      `${showCount(ours.storedBytes / 10_000)} B a write, the floor's ${showCount(floor.storedBytes / 10_000)} B: row, history, audit and marks, each page once in the log and once in the database`,
  },
  {
    title: "the same 10,000 in imports of 500, two in flight, until both are equal",
    name: "batchesMs",
    show: showMs,
    aim: most(800, "800 ms"),
    madeOf: (ours) =>
      `answered after ${showMs(ours.batchesAckedMs)}, equal ${showMs(ours.batchesMs - ours.batchesAckedMs)} later`,
  },
  {
    title: "resident memory of the primary at rest",
    name: "restBytes",
    show: showMebibytes,
    aim: mostMebibytes(90),
    madeOf: (ours) =>
      `${showMebibytes(ours.restFileBytes)} are pages of files, most of them Node's own program`,
  },
  {
    title: "the same after all of these writes",
    name: "busyBytes",
    show: showMebibytes,
    aim: mostMebibytes(160),
    madeOf: (ours) =>
      `${showMebibytes(ours.busyFileBytes)} are pages of files; ${showMebibytes(ours.busyBytes - ours.restBytes)} more than at rest`,
  },
  {
    title: "a drain of 200,000 rows: rows a second",
    name: "drainRowsPerSecond",
    show: showCount,
    aim: least(15_000),
    madeOf: (ours) =>
      `the primary uses ${share(ours.drainPrimaryCpu)} of a core meanwhile, the backup ${share(ours.drainBackupCpu)}`,
  },
  {
    title: "a backup back after 10 s and 100 writes: equal after",
    name: "returnMs",
    show: showMs,
    aim: most(1_000, "1.0 s"),
    madeOf: (ours) => `it listens after ${showMs(ours.listenMs)}`,
  },
  {
    title: "reading one entry, p50",
    name: "readMs",
    show: showMs,
    aim: most(0.35, "0.35 ms"),
    madeOf: (ours) =>
      `GET /healthz ${showMs(ours.healthMs)}; access, opening and the audit ${showMs(ours.readMs - ours.healthMs)}`,
  },
  { title: "GET /healthz, p50", name: "healthMs", show: showMs },
  {
    title: "dormouse entry get from nothing (floor: node -e 0)",
    name: "commandMs",
    show: showMs,
    aim: most(150, "150 ms"),
    madeOf: (ours, floor, versionMs) =>
      `Node alone ${showMs(floor.commandMs)}; dormouse --version ${showMs(versionMs)}; connecting, asking and printing the rest, ${showMs(ours.commandMs - versionMs)}`,
  },
];

export function printWeight(runs: readonly Run[]): void {
  const ours = medians(runs.map((run) => run.ours));
  const floor = medians(runs.map((run) => run.floor));
  const versionMs = median(runs.map((run) => run.versionMs));
  const notes: string[] = [];
  const lines = rows.map(({ title, name, show, aim, madeOf }) => {
    if (Number.isNaN(ours[name])) throw new Error(`${title}: not measured`);
    const ratio = median(runs.map((run) => run.ours[name] / run.floor[name]));
    const isMissed = aim !== undefined && !aim.isMet(ours[name], ratio);
    if (isMissed && madeOf) notes.push(`${title}: ${madeOf(ours, floor, versionMs)}`);
    const verdict = aim === undefined ? "" : isMissed ? "missed" : "met";
    return [title, show(ours[name]), show(floor[name]), showRatio(ratio), aim?.text ?? "", verdict];
  });
  printTable(
    `What a pair weighs: the built program beside the floor, medians of ${runs.length} runs, each with fresh pairs`,
    ["", "Dormouse", "floor", "ratio", "aim", ""],
    lines,
    notes.map((note) => `Missed: ${note}.`),
  );
}

function medians(runs: readonly Figures[]): Figures {
  const [first] = runs;
  if (first === undefined) throw new Error("nothing was measured");
  const names = Object.keys(first) as (keyof Figures)[];
  const values = names.map((name) => [name, median(runs.map((run) => run[name]))]);
  return Object.fromEntries(values) as Figures;
}
