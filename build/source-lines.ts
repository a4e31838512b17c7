import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { fileURLToPath } from "node:url";

/**
 * Stack traces of the built program name the lines of its source. A map is read when a trace is asked for, and not kept: Node's own
 * `--enable-source-maps` reads all maps at the start, which costs 0.2 s and 29 MB.
 */

const placesMax = 1_000;
/** What was looked up before, so that a fault that comes again and again reads no map again. */
const places = new Map<string, string>();

Error.prepareStackTrace = (error, frames) => {
  const maps = new Map<string, SourceMap | undefined>();
  // oxlint-disable-next-line typescript/no-base-to-string -- a call site's text is its line of the trace
  const lines = frames.map((frame) => `\n    at ${inSource(frame.toString(), maps)}`);
  return headOf(error) + lines.join("");
};

function headOf(error: unknown): string {
  try {
    return String(error);
  } catch {
    return "Error";
  }
}

function inSource(frame: string, maps: Map<string, SourceMap | undefined>): string {
  return frame.replace(/file:\/\/[^\s)]+\.js:\d+:\d+/, (place) => {
    const known = places.get(place);
    if (known !== undefined) return known;
    const found = sourcePlace(place, maps) ?? place;
    if (places.size >= placesMax) places.clear();
    places.set(place, found);
    return found;
  });
}

function sourcePlace(place: string, maps: Map<string, SourceMap | undefined>): string | undefined {
  const [, script = "", line, column] = /^(.*):(\d+):(\d+)$/.exec(place) ?? [];
  if (!maps.has(script)) maps.set(script, readMap(script));
  const entry = maps.get(script)?.findEntry(Number(line) - 1, Number(column) - 1);
  if (entry === undefined || !("originalSource" in entry) || entry.originalSource === undefined)
    return undefined;
  const source = fileURLToPath(new URL(entry.originalSource, script));
  return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
}

function readMap(script: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(fileURLToPath(`${script}.map`), "utf8")));
  } catch {
    return undefined;
  }
}
