import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const stamp = fileURLToPath(new URL("../../dist/node", import.meta.url));
const sources = [new URL("../../src", import.meta.url), new URL("../../build", import.meta.url)].map((url) =>
  fileURLToPath(url),
);

/**
 * Whether the program has to be built anew: a file of its source was written since. Takes two milliseconds. False where the source is
 * not beside the program.
 */
export function isOlderThanSource(): boolean {
  const builtMs = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return sources.some((folder) => hasNewer(folder, builtMs));
}

function hasNewer(folder: string, builtMs: number): boolean {
  const isNewer = (path: string): boolean => statSync(path).mtimeMs > builtMs;
  return entriesOf(folder).some((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return hasNewer(path, builtMs);
    return entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts") && isNewer(path);
  });
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** What `npm start` and `bin/dormouse` begin with: says on stderr where what runs is not what the source says. */
export function sayWhereOld(): void {
  if (!isOlderThanSource()) return;
  process.stderr.write("dormouse: this program is older than its source: run npm run build\n");
}
