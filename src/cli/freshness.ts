import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Written by the build, with the time at which it began: the folders of the source, one a line. */
const stamp = fileURLToPath(new URL("../../dist/folders", import.meta.url));

/** The folders that the program's source lies in, below the checkout. */
export function sourceFolders(): readonly string[] {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter(isSource);
  return ["build", ...new Set(files.map((file) => join("src", dirname(file))))];
}

/** Whether a file of the source was written since the program was built, or none was built. */
export function isOlderThanSource(): boolean {
  const builtMs = modifiedMs(stamp);
  return sourceFolders().some((folder) =>
    readdirSync(join(root, folder)).some(
      (name) => isSource(name) && modifiedMs(join(root, folder, name)) > builtMs,
    ),
  );
}

/**
 * Says on stderr where the source beside the program is newer: what runs is not what it says. A command looks at the folders first,
 * which takes a millisecond and shows each file that came, went or was replaced, as by git and by most editors; what is written in
 * place alone is seen by `isThorough`, which takes twenty.
 */
export function sayWhereOld({ isThorough }: { readonly isThorough: boolean }): void {
  try {
    if (!isThorough && !hasNewFolder()) return;
    if (!isOlderThanSource()) return;
  } catch {
    // The source is not beside the program, or another's.
    return;
  }
  process.stderr.write("dormouse: this program is older than its source: run npm run build\n");
}

function hasNewFolder(): boolean {
  const builtMs = modifiedMs(stamp);
  const folders = readFileSync(stamp, "utf8").trimEnd().split("\n");
  return folders.some((folder) => modifiedMs(join(root, folder)) > builtMs);
}

function isSource(name: string): boolean {
  return name.endsWith(".ts") && !name.endsWith(".test.ts");
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
