import { readdirSync, readFileSync } from "node:fs";

/** What a process has done since it started, as Linux counts it (proc(5)). */
export type Activity = {
  /** Voluntary and involuntary context switches of each thread, by `<thread id> <thread name>`. */
  readonly switches: ReadonlyMap<string, number>;
  /** Bytes that passed read and write calls: files, pipes and stream sockets alike. */
  readonly readBytes: number;
  readonly writtenBytes: number;
};

/** Reads /proc only, which no thread of the process notices. Throws where the process is gone. */
export function readActivity(pid: number): Activity {
  const switches = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? "";
    switches.set(
      `${thread} ${name}`,
      numberAt(status, "voluntary_ctxt_switches") + numberAt(status, "nonvoluntary_ctxt_switches"),
    );
  }
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  return { switches, readBytes: numberAt(io, "rchar"), writtenBytes: numberAt(io, "wchar") };
}

function numberAt(text: string, label: string): number {
  const value = new RegExp(`^${label}:\\s+(\\d+)$`, "m").exec(text)?.[1];
  if (value === undefined) throw new Error(`/proc says nothing of ${label}`);
  return Number(value);
}

/** What happened between two readings of one process. Empty `switches`: no thread ran, none began, none ended. */
export type ActivityBetween = {
  /** Context switches of the threads that had any, by thread; the whole count for a thread that began or ended. */
  readonly switches: Readonly<Record<string, number>>;
  readonly switchesTotal: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
};

export function activityBetween(before: Activity, after: Activity): ActivityBetween {
  const switches: Record<string, number> = {};
  for (const thread of new Set([...before.switches.keys(), ...after.switches.keys()])) {
    const [first, last] = [before.switches.get(thread), after.switches.get(thread)];
    // A thread that came or went has run, whatever it counted.
    const count = first === undefined || last === undefined ? Math.max(1, last ?? first ?? 1) : last - first;
    if (count !== 0) switches[thread] = count;
  }
  return {
    switches,
    switchesTotal: Object.values(switches).reduce((sum, count) => sum + count, 0),
    readBytes: after.readBytes - before.readBytes,
    writtenBytes: after.writtenBytes - before.writtenBytes,
  };
}

/** The processes whose parent is `pid`, with their command lines. */
export function childrenOf(pid: number): readonly { readonly pid: number; readonly command: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // The name in parentheses may hold anything; the state and the parent follow the last one.
        const afterName = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1) ?? "";
        const [state, parent] = afterName.split(" ");
        if (Number(parent) !== pid || state === "Z") return [];
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return [{ pid: Number(name), command }];
      } catch {
        // It ended while it was read.
        return [];
      }
    });
}
