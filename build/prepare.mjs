import { execFileSync } from "node:child_process";
import { existsSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";

/**
 * What `npm ci` ends with. npm itself may run on an older Node, so this is plain JavaScript; the build, and every npm script from then
 * on, run on the Node that was installed. npm 10 installs it and makes no link to it.
 */
const root = resolve(import.meta.dirname, "..");
const installed = `node-linux-${process.arch}/bin/node`;
const link = join(root, "node_modules/.bin/node");
const isInstalled = existsSync(join(root, "node_modules", installed));
if (isInstalled && !existsSync(link)) symlinkSync(`../${installed}`, link);
execFileSync(isInstalled ? link : process.execPath, [join(root, "build/run.ts")], { stdio: "inherit" });
