import type { AdminCall, AdminClient } from "./admin-client.ts";
import type { Fields } from "./fields.ts";
import { printable } from "./printable.ts";

/** What takes less is not worth a line. */
const patienceMs = 1_000;

export type ProgressLine = Disposable & { readonly show: (event: Fields) => void };

/** A line on stderr that says how far something is, once it takes over a second and where a terminal watches. */
export function progressLine(stream: NodeJS.WriteStream = process.stderr): ProgressLine {
  const startedMs = performance.now();
  let shown = "";
  const write = (text: string): void => {
    stream.write(`\r${text}${" ".repeat(Math.max(0, shown.length - text.length))}`);
    shown = text;
  };
  return {
    show: (event) => {
      if (!stream.isTTY || performance.now() - startedMs < patienceMs) return;
      const text = printable(describe(event)).slice(0, Math.max(20, (stream.columns ?? 80) - 1));
      if (text !== shown) write(text);
    },
    [Symbol.dispose]: () => {
      if (shown !== "") stream.write(`\r${" ".repeat(shown.length)}\r`);
    },
  };
}

/** `copying 41 %`, `waiting for zurich`. */
function describe({ stage, done, total, ...rest }: Fields): string {
  const name = typeof stage === "string" ? stage.replaceAll("_", " ") : "working";
  const others = Object.values(rest).filter((value) => typeof value === "string");
  const label = [name, ...others].join(" ");
  if (typeof done !== "number" || typeof total !== "number" || total <= 0) return label;
  return `${label} ${Math.min(100, Math.floor((done / total) * 100))} %`;
}

/** Has the site run a command and shows how far it is. */
export async function callWithProgress(admin: AdminClient, call: AdminCall): Promise<Fields> {
  using progress = progressLine();
  return await admin.call({ ...call, onProgress: progress.show });
}
