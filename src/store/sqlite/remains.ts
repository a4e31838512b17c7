import type { Connection } from "./connection.ts";

/** How many transactions have left something since the log was last emptied. */
export function readRemains(connection: Connection): number {
  return connection.get<{ remains: number }>("SELECT remains FROM site WHERE id = 1")?.remains ?? 0;
}

export function addRemains(connection: Connection): void {
  connection.run("UPDATE site SET remains = remains + 1 WHERE id = 1");
}
