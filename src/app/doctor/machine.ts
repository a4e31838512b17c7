import { bad, type Finding, good } from "./finding.ts";

/** What the checks look at, so that tests can show them other machines. */
export type Machine = {
  /** `24.21.0`. */
  readonly nodeVersion: string;
  readonly execArgv: readonly string[];
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
  return { nodeVersion: process.versions.node, execArgv: process.execArgv, nowMs: Date.now() };
}

export function examineMachine(machine: Machine): Finding[] {
  return [examineRuntime(machine.nodeVersion), examineReducer(machine.execArgv), examineClock(machine.nowMs)];
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

function examineClock(nowMs: number): Finding {
  const detail = `it is ${new Date(nowMs).toISOString()}`;
  if (nowMs >= earliestMs && nowMs < latestMs) return good("clock", detail);
  return bad("clock", detail, "Set the clock, and keep it right with NTP.");
}
