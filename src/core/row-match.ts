import { Refusal } from "./errors.ts";
import { comparePositions, type Position } from "./position.ts";
import type { Row } from "./row.ts";

/**
 * What a client's If-Match asks of a row (RFC 9110, section 13.1.1): one of these positions, or, for `any`, only that the
 * row is there. An empty list matches nothing.
 */
export type RowMatch = "any" | readonly Position[];

/** Refuses a change of a row that has moved on since the client read it. Without a match nothing is asked. */
export function requireMatch(row: Row, match: RowMatch | undefined): void {
  if (match === undefined || match === "any") return;
  if (!match.some((position) => comparePositions(position, row.position) === 0)) {
    throw new Refusal("stale_match");
  }
}
