import { buildProgram } from "./program.ts";

/** `npm run build`, and what `npm ci` ends with. */
const begunMs = performance.now();
await buildProgram();
process.stdout.write(`Built dist/ in ${((performance.now() - begunMs) / 1000).toFixed(1)} s.\n`);
