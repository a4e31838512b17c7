import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from "pino";
import type { SiteName } from "../core/ids.ts";

export type { Logger } from "pino";
/** A logger that can write many lines at once: each write wakes whoever reads the log. */
export type SiteLogger = Logger & {
  /** Runs `write`; the lines that it logs go out in one write when it returns. */
  readonly together: (write: () => void) => void;
};
export type LogFormat = "json" | "pretty";

export type LoggerOptions = {
  /** Stands on every line, so that the lines of a pair can be told apart. */
  readonly site: SiteName;
  /** Without it: readable where a person watches, JSON everywhere else. */
  readonly format?: LogFormat | undefined;
  readonly level?: "debug" | "info" | "warn" | "error" | undefined;
  /** Where lines go; standard output unless a test says otherwise. */
  readonly output?: DestinationStream;
  /** Whether a person watches the output. */
  readonly isTerminal?: boolean;
};

/**
 * One line for each event, to standard output, written before the call returns: no thread, no buffer, no timer, so that a
 * sleeping site stays asleep and a crash loses no line. Nobody logs secrets on purpose; what slips through is struck out here.
 */
export async function createLogger(options: LoggerOptions): Promise<SiteLogger> {
  const isTerminal = options.isTerminal ?? process.stdout.isTTY === true;
  const format = options.format ?? (isTerminal ? "pretty" : "json");
  const output = new HeldLines(options.output ?? destination({ fd: 1, sync: true }));
  const stream = format === "pretty" ? await readable(output, isTerminal) : output;
  const logger = pino(
    {
      level: options.level ?? "info",
      base: { site: options.site },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: strikeOut },
    },
    stream,
  );
  return Object.assign(logger, { together: (write: () => void) => output.hold(write) });
}

/** Holds lines back for as long as a function runs, and no longer: nothing waits for a timer or a turn. */
class HeldLines implements DestinationStream {
  readonly #output: DestinationStream;
  #held: string | undefined;

  constructor(output: DestinationStream) {
    this.#output = output;
  }

  write(line: string): void {
    if (this.#held === undefined) this.#output.write(line);
    else this.#held += line;
  }

  hold(write: () => void): void {
    this.#held ??= "";
    try {
      write();
    } finally {
      const lines = this.#held;
      this.#held = undefined;
      if (lines !== "") this.#output.write(lines);
    }
  }
}

const struckOut = "[struck out]";
/** A token of any kind, or the code of an invitation, wherever it stands, whole or cut off. */
const tokens = /\bdm[vosil]_[0-9A-Za-z_-]+/g;
/** Credentials of an HTTP header inside a text, and the values of keys that hold nothing else. */
const credentials = /\b(Bearer|Basic)\s+[^\s"\\]+/gi;
const secretValues =
  /("(?:authorization|proxy-authorization|cookie|set-cookie|token|secret|passphrase|password)":)"(?:[^"\\]|\\.)*"/gi;

function strikeOut(line: string): string {
  return line
    .replace(secretValues, `$1"${struckOut}"`)
    .replace(credentials, `$1 ${struckOut}`)
    .replace(tokens, struckOut);
}

/** JSON escapes that would reach a terminal as control characters; a line feed and a tab are harmless there. */
const escapedControls = /\\\\|\\u00(?:0[0-8bcef]|1[0-9a-f])|\\[bfr]/g;
/** What JSON leaves as it is, and terminals obey: DEL and the C1 controls. */
const plainControls = /[\u007f-\u009f]/g;

/** Lines for people. A message from outside cannot move the cursor or paint the screen: its controls are shown, not obeyed. */
async function readable(output: DestinationStream, isTerminal: boolean): Promise<DestinationStream> {
  const { prettyFactory } = await import("pino-pretty");
  const format = prettyFactory({
    colorize: isTerminal && process.env["NO_COLOR"] === undefined,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "pid,hostname,site",
    messageFormat: "{site}: {msg}",
    singleLine: true,
  });
  const harmless = (line: string): string =>
    line
      .replace(escapedControls, (escape) => (escape === "\\\\" ? escape : `\\${escape}`))
      .replace(plainControls, (control) => `\\\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return { write: (line) => output.write(format(harmless(line)) ?? "") };
}
