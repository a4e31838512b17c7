import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Refusal } from "../core/errors.ts";
import type { StrengthEstimate, StrengthJob } from "./passphrase-strength-thread.ts";

const guessesMin = 1e12;
/** An estimate costs more with each character; more of them than this make nothing weaker. */
const estimatedLengthMax = 64;
/** As many as may wait while one is estimated. */
const waitingMax = 8;
/** The dictionaries take some 100 MB while they are loaded. */
const limits = { maxOldGenerationSizeMb: 384 } as const;

let last: Promise<unknown> = Promise.resolve();
let waiting = 0;

/**
 * Refuses a passphrase that somebody has chosen and that would be guessed in fewer than 10^12 attempts, as zxcvbn estimates. In a
 * thread that ends with its answer, one at a time: dictionaries take a quarter of a second to load, and memory that the site need
 * not keep.
 * @param known what a guesser tries first because it stands beside the passphrase: the login, the vault's name
 * @throws Refusal `passphrase_weak` with advice that does not repeat it; `busy`
 */
export async function refuseWeakPassphrase(passphrase: string, known: readonly string[]): Promise<void> {
  if (waiting >= waitingMax) throw new Refusal("busy", "Too many passphrases are being looked at.");
  waiting += 1;
  const text = passphrase.normalize("NFKC").slice(0, estimatedLengthMax);
  const estimating = last.then(() => estimate({ passphrase: text, known }));
  last = estimating.catch(() => undefined);
  const { guesses, advice } = await estimating.finally(() => {
    waiting -= 1;
  });
  if (guesses >= guessesMin) return;
  throw new Refusal("passphrase_weak", advice === "" ? undefined : advice);
}

async function estimate(job: StrengthJob): Promise<StrengthEstimate> {
  const thread = new Worker(new URL("./passphrase-strength-thread.ts", import.meta.url), {
    workerData: job,
    resourceLimits: limits,
    execArgv: [],
  });
  const ended = once(thread, "exit");
  // Rejects with what the thread threw, before its exit.
  const [answer] = (await once(thread, "message")) as [StrengthEstimate];
  await ended;
  return answer;
}
