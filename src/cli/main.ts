import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Code is compiled once, not at every start. A folder that is another's, or cannot be written, is left alone.
enableCompileCache(fileURLToPath(new URL("../../dist/cache", import.meta.url)));
const { endQuietlyWithReader } = await import("./output.ts");
const { run } = await import("./run.ts");
const { sayWhereOld } = await import("./freshness.ts");

sayWhereOld({ isThorough: process.argv[2] === "serve" });
endQuietlyWithReader();
process.exitCode = await run(process.argv.slice(2));
