import { monitorEventLoopDelay } from "node:perf_hooks";
import { openSite } from "../../src/app/site.ts";
import { readSiteConfig } from "../../src/app/site-config.ts";
import type { Store } from "../../src/core/store/store.ts";
import { createLogger } from "../../src/ops/logging.ts";
import { instantMs } from "./instant.ts";
import { answerParent, reportVisible } from "./messages.ts";

/**
 * A site as `dormouse serve` runs it, with a stopwatch between the store and everything that uses it.
 * Usage: site-process.ts CONFIG
 */

let writesBegun: number[] = [];

function watched(store: Store): Store {
  const write: Store["write"] = (change) => {
    writesBegun.push(instantMs());
    return store.transact((tx) => tx.rows.write(change));
  };
  const applyPush: Store["applyPush"] = async (push) => {
    const outcome = await store.transact((tx) => tx.replication.applyPush(push));
    reportVisible(outcome.receiver.applied.position.seq, instantMs());
    return outcome;
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "write") return write;
      if (name === "applyPush") return applyPush;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
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
