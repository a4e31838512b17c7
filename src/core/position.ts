/**
 * Where a change stands: the epoch's number and the change's number in the site's own count. Positions order all changes of
 * one history; what tells two histories apart at the same position is the chain.
 */
export type Position = { readonly epoch: number; readonly seq: number };

/** A position together with the chain there: names one history up to that change. */
export type Point = { readonly position: Position; readonly chain: Uint8Array };

/** Before every change. Its chain is 32 zero bytes, so an empty site's point is known to every history. */
export const origin: Point = { position: { epoch: 0, seq: 0 }, chain: new Uint8Array(32) };

/** Negative, zero or positive, as `a` stands below, at or above `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

/** `1:2045`: the only form in which a position leaves the program. */
export function formatPosition(position: Position): string {
  return `${position.epoch}:${position.seq}`;
}

const pattern = /^(0|[1-9]\d{0,15}):(0|[1-9]\d{0,15})$/;

/** The position that a text names, or undefined where it names none. */
export function parsePosition(text: string): Position | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const position = { epoch: Number(match[1]), seq: Number(match[2]) };
  return Number.isSafeInteger(position.epoch) && Number.isSafeInteger(position.seq) ? position : undefined;
}

export function lowerPosition(a: Position, b: Position): Position {
  return comparePositions(a, b) <= 0 ? a : b;
}
