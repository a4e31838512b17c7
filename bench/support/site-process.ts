import { monitorEventLoopDelay } from "node:perf_hooks";
import { openSite } from "../../src/app/site.ts";
import { readSiteConfig } from "../../src/app/site-config.ts";
import type { ApplyOutcome } from "../../src/core/store/replication.ts";
import type { Store } from "../../src/core/store/store.ts";
import { withTransactions } from "../../src/core/store/with-transactions.ts";
import { createLogger } from "../../src/ops/logging.ts";
import { instantMs } from "./instant.ts";
import { answerParent, reportVisible } from "./messages.ts";

/**
 * A site as `dormouse serve` runs it, with a stopwatch between the store and everything that uses it.
 * Usage: site-process.ts CONFIG
 */

let writesBegun: number[] = [];

function watched(store: Store): Store {
  return withTransactions(store, async (work) => {
    const begunMs = instantMs();
    let [isWrite, isPush] = [false, false];
    const result = await store.transact((tx) => {
      const { rows, replication } = tx;
      return work({
        ...tx,
        get rows() {
          if (!isWrite) writesBegun.push(begunMs);
          isWrite = true;
          return rows;
        },
        get replication() {
          isPush = true;
          return replication;
        },
      });
    });
    if (isPush && isApplied(result)) reportVisible(result.receiver.applied.position.seq, instantMs());
    return result;
  });
}

function isApplied(result: unknown): result is ApplyOutcome {
  return typeof result === "object" && result !== null && "receiver" in result;
}

const config = await readSiteConfig(process.argv[2] ?? "");
const log = await createLogger({ site: config.site, format: "json" });
const site = await openSite({ config, log, wrapStore: watched });
const delay = monitorEventLoopDelay({ resolution: 1 });

answerParent(
  {
    takeWritesBegun: () => {
      const taken = writesBegun;
      writesBegun = [];
      return taken;
    },
    watchDelay: () => {
      delay.reset();
      return delay.enable();
    },
    liveBytes: () => {
      globalThis.gc?.();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },
    longestDelayMs: () => {
      delay.disable();
      return delay.max / 1e6;
    },
  },
  async () => site[Symbol.asyncDispose](),
);
