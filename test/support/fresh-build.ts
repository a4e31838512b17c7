import { buildProgram } from "../../build/program.ts";
import { isOlderThanSource } from "../../src/cli/freshness.ts";

/** Before all tests: the end-to-end tests run what is built, so that is built anew where the source has changed since. */
export async function setup(): Promise<void> {
  if (isOlderThanSource()) await buildProgram();
}
