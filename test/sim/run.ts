import { parseArgs } from "node:util";
import { runSeed } from "./scenario.ts";

const usage = `The simulator: real stores, workers, handlers and commands in virtual time, driven by one seed.

  npm run test:sim -- --seed 17          replays one seed
  npm run test:sim -- --seeds 5000       runs seeds 1 to 5000
  npm run test:sim -- --minutes 30       runs seeds until the time is over
  npm run test:sim -- --from 100000 ...  begins at another seed
  npm run test:sim -- --first ...        ends with the first seed that fails
`;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    from: { type: "string", default: "1" },
    first: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

function number(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const read = Number(text);
  if (!Number.isSafeInteger(read) || read < 0) throw new Error(`${text} is no whole number`);
  return read;
}

async function runMany(from: number, end: number, deadlineMs: number): Promise<number> {
  const total = new Map<string, number>();
  let failures = 0;
  let seed = from;
  for (; seed < end && Date.now() < deadlineMs && !(values.first && failures > 0); seed += 1) {
    try {
      for (const [what, count] of Object.entries(await runSeed(seed)))
        total.set(what, (total.get(what) ?? 0) + count);
    } catch (error) {
      failures += 1;
      process.stderr.write(`${error instanceof Error ? error.message.split("\n")[0] : String(error)}\n`);
    }
  }
  for (const [what, count] of [...total].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    process.stdout.write(`${String(count).padStart(9)} ${what}\n`);
  process.stdout.write(`${seed - from} seeds, ${failures} failed\n`);
  return failures;
}

if (values.help) {
  process.stdout.write(usage);
} else if (values.seed !== undefined) {
  const report = await runSeed(number(values.seed, 1));
  process.stdout.write(`seed ${values.seed} holds: ${JSON.stringify(report)}\n`);
} else {
  const from = number(values.from, 1);
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : number(values.minutes, 1);
  const end = from + number(values.seeds, values.minutes === undefined ? 5_000 : Number.MAX_SAFE_INTEGER / 2);
  process.exitCode = (await runMany(from, end, Date.now() + minutes * 60_000)) === 0 ? 0 : 1;
}
