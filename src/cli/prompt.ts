import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { printable } from "./printable.ts";
import { usageRefusal } from "./report.ts";

/** Ctrl-C at a question. The status is what a shell gives a command that SIGINT ended. */
const interruptedStatus = 130;

/**
 * Asks for a value that must not be seen: nothing that is typed or pasted is echoed. Only for a terminal.
 * @param question plain text; goes to stderr, so that stdout stays what a script reads
 */
export async function askHidden(question: string): Promise<string> {
  return await ask(question, new Writable({ write: (_chunk, _encoding, done) => done() }));
}

/**
 * Makes sure that the person means it. `yes` is `--yes` on the command line; without a terminal there is nobody to ask.
 * @throws Refusal `usage` where nobody can be asked, or where the answer is no
 */
export async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY) throw usageRefusal("this cannot be undone and nobody can be asked", "give --yes");
  const answer = await ask(`${printable(question)} [y/N] `, process.stderr);
  if (!/^y(es)?$/i.test(answer.trim())) throw usageRefusal("not confirmed, nothing was changed", "");
}

async function ask(question: string, echo: NodeJS.WritableStream): Promise<string> {
  // The terminal stops echoing here, so the question comes after it: who sees it may type at once.
  const lines = createInterface({ input: process.stdin, output: echo, terminal: true });
  process.stderr.write(question);
  lines.on("SIGINT", () => {
    process.stderr.write("\n");
    lines.close();
    process.exit(interruptedStatus);
  });
  try {
    return await new Promise<string>((resolve) => {
      lines.once("line", resolve);
      lines.once("close", () => resolve(""));
    });
  } finally {
    lines.close();
    if (!("isTTY" in echo)) process.stderr.write("\n");
  }
}
