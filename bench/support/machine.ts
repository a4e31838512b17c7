import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { arch, cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { instantMs } from "./instant.ts";
import { median } from "./statistics.ts";
import { showMs } from "./table.ts";

/** File systems that live in memory, where a flush costs nothing (statfs(2)). */
const memoryFileSystems: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

/** A new folder for the run's data, on a disk: under `parent`, or the machine's temporary folder, or the working folder. */
export function makeDataFolder(parent: string | undefined): string {
  const candidates = parent === undefined ? [tmpdir(), process.cwd()] : [parent];
  const chosen = candidates
    .map((path) => resolve(path))
    .find((path) => !memoryFileSystems.has(statfsSync(path).type));
  if (chosen === undefined)
    throw new Error(`${candidates.join(" and ")} lie in memory: name a folder on a disk with --folder`);
  return mkdtempSync(join(chosen, "dormouse-bench-"));
}

/** Prints what every table depends on, and returns it as one sentence. */
export function printMachine(folder: string): string {
  const [cpu] = cpus();
  const lines = {
    date: new Date().toISOString(),
    cpu: `${cpu?.model ?? "unknown"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${process.platform} ${release()} ${arch()}, Node ${process.versions.node}`,
    load: `${loadavg()
      .map((load) => load.toFixed(2))
      .join(" ")} before the run`,
    folder: `${folder} (file system type 0x${statfsSync(folder).type.toString(16)})`,
    flush: `${showMs(flushMs(folder))} for 4 kB and fdatasync, median of 200`,
  };
  for (const [name, value] of Object.entries(lines)) console.log(`${name.padEnd(8)}${value}`);
  return `Measured ${lines.date.slice(0, 10)} on ${lines.cpu}, shared by client, primary and backup; Node ${process.versions.node}; load ${lines.load}; a flush: ${lines.flush}.`;
}

function flushMs(folder: string): number {
  const path = join(folder, "flush");
  const file = openSync(path, "w");
  const page = Buffer.alloc(4096, 1);
  const samples = Array.from({ length: 200 }, () => {
    const begun = instantMs();
    writeSync(file, page);
    fdatasyncSync(file);
    return instantMs() - begun;
  });
  closeSync(file);
  rmSync(path);
  return median(samples);
}
