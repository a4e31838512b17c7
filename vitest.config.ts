import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // The suffix tells what a test needs: .test.ts, .prop.test.ts (properties), .sim.test.ts (simulation).
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    // Processes, not threads: the database driver is native code, and a leaked handle then stays in one file's process.
    pool: "forks",
    // A process that a test leaves running fails its file.
    setupFiles: ["test/support/leak-guard.ts"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // A test that only passes in the order of the file is broken.
    sequence: { shuffle: { files: false, tests: true } },
    // Nothing may be left over from the test before.
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
  },
});
