import { runThread } from "./thread.ts";

/**
 * Has SQLite read every page of a site's database in a thread of its own, while the site works. Resolves with what is wrong;
 * null where nothing is.
 */
export function examineBeside(path: string): Promise<string | null> {
  return runThread({ script: new URL("./examination-thread.ts", import.meta.url), request: path });
}
