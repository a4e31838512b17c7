import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options?: { readonly type: "major"; readonly flavor: "regular" | "last-resort" }) => void;

/** Memory is given back when the process holds more than this above what it held at rest; less is soon used again. */
const spareBytes = 24 * 1024 * 1024;

let collect: Collect | undefined;
/** What the process held after the first collection. */
let restBytes: number | undefined;

/**
 * Collects garbage now. A sleeping process never would: copies of keys and the memory of a busy hour would stay for days. Takes some
 * 10 ms, and 40 where memory is given back, so it is for moments when nobody is connected. V8 keeps pages that it has emptied for later;
 * only its last resort gives them back.
 */
export function collectGarbage(): void {
  collect ??= exposed();
  collect({ type: "major", flavor: "regular" });
  const isAboveRest = restBytes === undefined || process.memoryUsage.rss() - restBytes > spareBytes;
  if (isAboveRest) collect({ type: "major", flavor: "last-resort" });
  restBytes ??= process.memoryUsage.rss();
}

/** V8's own collection, which a program sees only behind a flag. */
function exposed(): Collect {
  setFlagsFromString("--expose-gc");
  const found: unknown = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return typeof found === "function" ? (found as Collect) : () => undefined;
}
