import { join } from "node:path";

/** The database of the site whose data folder this is. */
export function databasePath(dataFolder: string): string {
  return join(dataFolder, "dormouse.db");
}
