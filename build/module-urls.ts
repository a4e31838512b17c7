import { dirname, join, relative, resolve } from "node:path";
import type { Plugin } from "rolldown";

const root = resolve(import.meta.dirname, "..");
const urls = /new URL\("(\.[^"]+)", import\.meta\.url\)/g;

/**
 * A module names a thread's script, or a file of the checkout, relative to itself: `new URL("./count-thread.ts", import.meta.url)`. In
 * `dist/`, where all modules lie side by side, these URLs lead to the same things: a script of TypeScript to what is built of
 * it, any other file to where it is.
 */
export function moduleUrls(scripts: readonly string[]): Plugin {
  const inDist = (url: string, module: string): string => {
    const script = /([^/]+)\.ts$/.exec(url)?.[1];
    if (script === undefined) return `../${relative(root, join(dirname(module), url))}`;
    if (!scripts.includes(script)) throw new Error(`${module}: no script is built of ${url}`);
    return `./${script}.js`;
  };
  return {
    name: "module-urls",
    transform: {
      filter: { id: /\/src\/[^?]*\.ts$/, code: "import.meta.url" },
      handler: (code, module) => ({
        code: code.replace(urls, (_, url: string) => `new URL("${inDist(url, module)}", import.meta.url)`),
        // Lines stay what they are.
        map: null,
      }),
    },
  };
}
