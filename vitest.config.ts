import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * What takes longest begins first, and would else run alone at the end: the simulator's seeds, then real processes. The two that
 * watch sleeping sites wait for most of their time, each while seeds are at work beside it.
 */
const slowest = [
  "/test/e2e/asleep.test",
  "/test/sim/seeds-first",
  "/test/sim/seeds-1",
  "/test/sim/seeds-2",
  "/test/e2e/asleep-tls.test",
  "/test/e2e/secret-scan",
  "/test/sim/seeds",
  "/test/e2e/",
];

/**
 * What `npm test` leaves to `npm run test:long`, so that it takes four minutes: all seeds but the first 250, the longest courses of the
 * simulator, the store's contract on files (in memory it stays), the rounds of kill -9, and most of what starts real processes by the
 * dozen.
 */
const long = [
  "test/contract/sqlite-file.test.ts",
  "test/sim/seeds-[1-8].sim.test.ts",
  "test/sim/traps-{promotion,repair,rotation}.test.ts",
  "test/e2e/{admin,asleep-tls,cli,cli-admin,cli-site,edition-move,kill,pairing,peers}.test.ts",
  "test/e2e/{promotion,secret-scan,tls,two-hosts}.test.ts",
];
const tests = ["src/**/*.test.ts", "test/**/*.test.ts"];

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = slowest.findIndex((part) => moduleId.includes(part));
      return at === -1 ? slowest.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig(({ mode }) => ({
  test: {
    // The suffix tells what a test needs: .test.ts, .prop.test.ts (properties), .sim.test.ts (simulation).
    include: mode === "long" ? long : tests,
    exclude: ["**/node_modules/**", ...(mode === "short" ? long : [])],
    // Processes, not threads: the database driver is native code, and a leaked handle then stays in one file's process.
    pool: "forks",
    // One more than there are cores: those that watch sleeping sites, or wait for processes to start, leave theirs to another.
    maxWorkers: availableParallelism() + 1,
    globalSetup: ["test/support/fresh-build.ts"],
    // What a test leaves behind fails its file.
    setupFiles: ["test/support/leak-guard.ts"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // A test that only passes in the order of the file is broken.
    sequence: { sequencer: SlowFirst, shuffle: { files: false, tests: true } },
    // Nothing may be left over from the test before.
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
  },
}));
