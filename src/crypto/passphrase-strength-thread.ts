import { parentPort, workerData } from "node:worker_threads";
import { ZxcvbnFactory } from "@zxcvbn-ts/core";
import { adjacencyGraphs, dictionary as common } from "@zxcvbn-ts/language-common";
import { dictionary as english, translations } from "@zxcvbn-ts/language-en";

/** The thread that one chosen passphrase is estimated in. It answers once and ends. */

export type StrengthJob = { readonly passphrase: string; readonly known: readonly string[] };
export type StrengthEstimate = { readonly guesses: number; readonly advice: string };

function estimate({ passphrase, known }: StrengthJob): StrengthEstimate {
  const zxcvbn = new ZxcvbnFactory({
    translations,
    graphs: adjacencyGraphs,
    dictionary: { ...common, ...english },
  });
  const { guesses, feedback } = zxcvbn.check(passphrase, [...known]);
  const { warning, suggestions } = feedback;
  return { guesses, advice: [warning, ...suggestions].filter(Boolean).join(" ") };
}

parentPort?.postMessage(estimate(workerData as StrengthJob));
