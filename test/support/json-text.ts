import type { JsonText } from "../../src/replication/transport.ts";

/** The whole of a text that may come in slices. */
export function wholeText(json: JsonText): string {
  return typeof json === "string" ? json : Buffer.concat([...json]).toString();
}
