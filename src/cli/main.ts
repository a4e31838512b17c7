import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Types are stripped and code is compiled once, not at every start. Where the checkout cannot be written, nothing is kept.
enableCompileCache(fileURLToPath(new URL("../../node_modules/.cache/dormouse", import.meta.url)));
const { endQuietlyWithReader } = await import("./output.ts");
const { run } = await import("./run.ts");

endQuietlyWithReader();
process.exitCode = await run(process.argv.slice(2));
