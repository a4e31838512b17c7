import { isBuiltin } from "node:module";
import type { Plugin } from "rolldown";

const statement = /^import (?:(\w+|\* as \w+)(?:, )?)?(\{[^}]*\})? ?from "([^"]+)";$/gm;

/**
 * Takes Node's own modules by `process.getBuiltinModule` and not by `import`: an import of `node:http` reads each of its exports at once, and
 * with them loads a whole HTTP client, which costs 0.1 s of CPU time and 14 MB.
 */
export function nodeModules(): Plugin {
  return {
    name: "node-modules",
    // Lines stay what they are.
    renderChunk: (code) => ({ code: code.replace(statement, taken), map: null }),
  };
}

function taken(text: string, whole: string | undefined, named: string | undefined, name: string): string {
  if (!isBuiltin(name)) return text;
  const module = `globalThis.process.getBuiltinModule("${name}")`;
  if (whole !== undefined && named === undefined && onDemand.includes(name))
    return takenOnDemand(whole, module);
  const parts = [];
  if (whole !== undefined) parts.push(`${whole.replace("* as ", "")} = ${module}`);
  if (named !== undefined) parts.push(`${named.replaceAll(" as ", ": ")} = ${module}`);
  return parts.length === 0 ? text : `const ${parts.join(", ")};`;
}

/**
 * Modules that are loaded when a member of them is first used. node:child_process takes 5 ms, and commander needs it only to run a
 * command that is a program of its own, which none of ours is.
 */
const onDemand: readonly string[] = ["node:child_process"];

function takenOnDemand(whole: string, module: string): string {
  return `const ${whole} = new Proxy({}, { get: (_, name) => ${module}[name] });`;
}
