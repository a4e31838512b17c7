import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { asleep } from "./asleep.ts";
import { digest } from "./digest.ts";
import { efficiency } from "./efficiency.ts";
import { far } from "./far.ts";
import { drain } from "./drain.ts";
import { imports } from "./imports.ts";
import { keys } from "./keys.ts";
import { overhead } from "./overhead.ts";
import { promotion } from "./promotion.ts";
import { reading } from "./reading.ts";
import { repair } from "./repair.ts";
import { scale } from "./scale.ts";
import { sealing } from "./sealing.ts";
import { login } from "./login.ts";
import { printDelays } from "./support/delays.ts";
import { instantMs } from "./support/instant.ts";
import { makeDataFolder, printMachine } from "./support/machine.ts";
import type { Plan } from "./support/plan.ts";
import { writeReadme } from "./support/readme.ts";
import { showMs } from "./support/table.ts";
import { verify } from "./verify.ts";
import { weight } from "./weight.ts";

/** The benchmarks: real processes, real files, real HTTP. Prints tables; never fails for a figure. */

type Part = { readonly what: string; readonly run: (plan: Plan) => Promise<void> };

const parts: Readonly<Record<string, Part>> = {
  weight: {
    what: "latency, bursts, bulk, memory, a drain, an outage, a read and a command, beside the floor",
    run: weight,
  },
  overhead: {
    what: "a write's own latency with replication on, off, and with the backup down",
    run: overhead,
  },
  digest: { what: "chain, history and digest on a write, with and without", run: digest },
  sealing: { what: "a client's write with sealing and without; what history costs an edit", run: sealing },
  login: { what: "a person's login, and how long others wait meanwhile", run: login },
  reading: { what: "listing and searching 1,000 and 10,000 entries, with sealing and without", run: reading },
  keys: { what: "opening a vault for a request; a login; a change of a vault's key", run: keys },
  imports: { what: "an import of 10,000 entries in one call", run: imports },
  drain: { what: "a drain of 100,000 rows: delays and memory on both sides", run: drain },
  far: { what: "10,000 dirty rows to a backup 130 ms away", run: far },
  efficiency: {
    what: "a day with 10 writes and one without, against a 30 s poller, in virtual time",
    run: efficiency,
  },
  asleep: { what: "context switches and bytes of a sleeping pair in 60 s", run: asleep },
  promotion: { what: "planned promotions under load: how long no site takes a write", run: promotion },
  verify: { what: "dormouse verify of 10,000 and of 100,000 entries", run: verify },
  repair: { what: "10 rows of a backup lost or damaged among 100,000", run: repair },
  scale: { what: "10 dirty rows among 1,000 and among 1,000,000 stored; start-up at both sizes", run: scale },
};

const runsDefault = 3;

const usage = `Usage: npm run bench -- [PART...] [--runs N] [--folder PATH] [--write-readme]

Measures this checkout on this machine, in processes, files and HTTP of its own, and prints tables. Without a PART, all of them:

${Object.entries(parts)
  .map(([name, { what }]) => `  ${name.padEnd(11)} ${what}`)
  .join("\n")}

  --runs N       how often what varies is measured (default ${runsDefault}); the tables show medians
  --folder PATH  a folder on the disk to measure (default: the machine's temporary folder)
  --write-readme replaces the figures of README.md by the tables of this run
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string" },
      folder: { type: "string" },
      "write-readme": { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  const unknown = positionals.filter((name) => parts[name] === undefined);
  const runs = Number(values.runs ?? runsDefault);
  if (values.help || unknown.length > 0 || !Number.isInteger(runs) || runs < 1) {
    process.stdout.write(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const folder = makeDataFolder(values.folder);
  try {
    const machine = printMachine(folder);
    for (const [name, part] of Object.entries(parts)) {
      if (positionals.length > 0 && !positionals.includes(name)) continue;
      const beganMs = instantMs();
      // What has been measured by then is worth more than the part that failed.
      await part.run({ folder, runs }).catch((error: unknown) => {
        console.error(`${name} has failed:`, error);
        process.exitCode = 1;
      });
      console.log(`\n  (${name}: ${showMs(instantMs() - beganMs)})`);
    }
    printDelays();
    if (values["write-readme"]) writeReadme(machine);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
