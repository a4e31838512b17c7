import { readFileSync } from "node:fs";
import { bad, type Finding, good } from "./finding.ts";

/** What the checks look at, so that tests can show them other machines. */
export type Machine = {
  /** `24.21.0`. */
  readonly nodeVersion: string;
  readonly execArgv: readonly string[];
  /** How large a core file of this process may become, in bytes. */
  readonly coreBytesMax: number;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: number;
};

const nodeMajorMin = 24;
/** The first releases of the supported lines with the security fixes of October 2026. */
const secureReleases: Readonly<Record<number, readonly [minor: number, patch: number]>> = {
  24: [22, 1],
  26: [12, 1],
};
const secureAdvice =
  "In production use Node 24.22.1 or newer, or 26.12.1 or newer: security release of October 2026.";

/** Before this program was written no clock can be right; after its certificates are gone neither. */
const earliestMs = Date.UTC(2026, 10, 1);
const latestMs = Date.UTC(2100, 0, 1);

export function thisMachine(): Machine {
  return {
    nodeVersion: process.versions.node,
    execArgv: process.execArgv,
    coreBytesMax: coreBytesMax(),
    nowMs: Date.now(),
  };
}

export function examineMachine(machine: Machine): Finding[] {
  const { nodeVersion, execArgv, coreBytesMax: coreMax, nowMs } = machine;
  return [
    examineRuntime(nodeVersion),
    examineReducer(execArgv),
    examineDebugger(execArgv),
    examineCore(coreMax),
    examineClock(nowMs),
  ];
}

function examineRuntime(version: string): Finding {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const detail = `Node ${version}`;
  if (!(major >= nodeMajorMin)) {
    return bad("runtime", detail, "Use Node 24 or newer; `npm ci` in the checkout brings one.");
  }
  const [secureMinor, securePatch] = secureReleases[major] ?? [0, 0];
  const isSecure = minor > secureMinor || (minor === secureMinor && patch >= securePatch);
  const isSupportedLine = major % 2 === 0;
  return good("runtime", detail, isSecure && isSupportedLine ? null : secureAdvice);
}

function examineReducer(execArgv: readonly string[]): Finding {
  const flag = "--no-memory-reducer";
  if (execArgv.includes(flag)) return good("sleep", `Node was started with ${flag}`);
  const remedy =
    "Start it by bin/dormouse, or put the flag on Node's command line: NODE_OPTIONS does not take it.";
  return bad("sleep", `Node was started without ${flag}: a site started like this wakes every 8 s`, remedy);
}

function examineDebugger(execArgv: readonly string[]): Finding {
  const flag = "--disable-sigusr1";
  if (execArgv.includes(flag)) return good("debugger", `Node was started with ${flag}`);
  const detail = `Node was started without ${flag}: the signal SIGUSR1 opens a debugger's port to every user of this machine`;
  return bad("debugger", detail, "Start it by bin/dormouse, or put the flag on Node's command line.");
}

function examineCore(bytesMax: number): Finding {
  if (bytesMax === 0) return good("core", "a crash leaves no core file");
  const remedy = "Start it by bin/dormouse or by the unit in packaging/, or run `ulimit -c 0` before.";
  return bad("core", "a crash may leave a core file, which holds keys and passphrases", remedy);
}

/** The soft limit of core files (getrlimit(2)); Linux tells it in a file. */
function coreBytesMax(): number {
  const found = /^Max core file size\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  return found ? Number(found[1]) : Number.POSITIVE_INFINITY;
}

function examineClock(nowMs: number): Finding {
  const detail = `it is ${new Date(nowMs).toISOString()}`;
  if (nowMs >= earliestMs && nowMs < latestMs) return good("clock", detail);
  return bad("clock", detail, "Set the clock, and keep it right with NTP.");
}
