import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCodes, Refusal } from "../../core/errors.ts";
import type { Config } from "../../ops/config/config.ts";
import { errnoOf, formatMode } from "../../ops/config/secret-files.ts";
import { diskRoom } from "../../ops/disk.ts";
import { examineDatabase } from "../../store/sqlite/examination.ts";
import { databasePath } from "../data-folder.ts";
import { bad, type Finding, good } from "./finding.ts";

const othersMask = 0o077;

/** The data folder, what lies in it, and the room around it. */
export async function examineData(config: Config): Promise<Finding[]> {
  return [
    ...(await examineFolder(config.dataFolder)),
    examineSiteDatabase(config),
    await examineDisk(config),
  ];
}

async function examineFolder(folder: string): Promise<Finding[]> {
  try {
    const { mode } = await stat(folder);
    const names = await readdir(folder);
    const exposed =
      (mode & othersMask) === 0
        ? []
        : [bad("data folder", `${folder} has mode ${formatMode(mode)}`, `chmod 700 ${folder}`)];
    for (const name of names) {
      const path = join(folder, name);
      // Logs of the database come and go while it is used.
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() !== true || (found.mode & othersMask) === 0) continue;
      exposed.push(bad("data folder", `${path} has mode ${formatMode(found.mode)}`, `chmod 600 ${path}`));
    }
    return exposed.length > 0 ? exposed : [good("data folder", `${folder} is private`)];
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    if (code === "ENOENT")
      return [bad("data folder", `${folder} does not exist`, errorCodes.data_missing.remedy)];
    return [
      bad("data folder", `${folder} cannot be read (${code})`, "Run this as the user that the site runs as."),
    ];
  }
}

function examineSiteDatabase(config: Config): Finding {
  const path = databasePath(config.dataFolder);
  try {
    const { site, role, fenced, isOlder, damage } = examineDatabase(path);
    if (damage.length > 0) {
      return bad("database", `${path} is damaged: ${damage.join("; ")}`, errorCodes.database_corrupt.remedy);
    }
    if (site !== config.site) {
      return bad(
        "database",
        `${path} belongs to ${site}, not to ${config.site}`,
        errorCodes.data_of_other_site.remedy,
      );
    }
    if (fenced !== null) {
      return bad(
        "database",
        `${path} is whole; the site is fenced (${fenced})`,
        "docs/OPERATIONS.md says how it takes writes again.",
      );
    }
    const advice = isOlder
      ? "The next start brings its schema up to date, and keeps a copy from before."
      : null;
    return good("database", `${path} is whole; ${site} is a ${role}`, advice);
  } catch (error) {
    if (error instanceof Refusal) return bad("database", error.message, errorCodes[error.code].remedy);
    throw error;
  }
}

async function examineDisk({ dataFolder, diskFreeMinBytes }: Config): Promise<Finding> {
  const { freeBytes, isEnough } = await diskRoom(dataFolder, diskFreeMinBytes);
  const detail = `${formatBytes(freeBytes)} free, at least ${formatBytes(diskFreeMinBytes)} wanted`;
  return isEnough ? good("disk", detail) : bad("disk", detail, errorCodes.disk_full.remedy);
}

function formatBytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(0)} MB`;
}
