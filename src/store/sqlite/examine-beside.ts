import { once } from "node:events";
import { Worker } from "node:worker_threads";

/**
 * Has SQLite read every page of a site's database in a thread of its own, while the site works. Resolves with what is wrong;
 * null where nothing is.
 */
export async function examineBeside(path: string): Promise<string | null> {
  const thread = new Worker(new URL("./examination-thread.ts", import.meta.url), { workerData: path });
  let found: string | null | undefined;
  thread.on("message", (text: string | null) => {
    found = text;
  });
  await once(thread, "exit");
  if (found === undefined) throw new Error("the thread that examines the database ended without a word");
  return found;
}
