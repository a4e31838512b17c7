/** What the rows of one answer may weigh together, in bytes of their bodies: less than a peer is ready to read. */
export const answerBytesMax = 1024 * 1024;

/** As many of the rows as one answer may carry, from the first on; at least one, or a large row would be in the way for good. */
export function answerRows<T>(rows: readonly T[], bytesOf: (row: T) => number): readonly T[] {
  let bytes = 0;
  const end = rows.findIndex((row, index) => {
    bytes += bytesOf(row);
    return index > 0 && bytes > answerBytesMax;
  });
  return end < 0 ? rows : rows.slice(0, end);
}
