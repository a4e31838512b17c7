/** Milliseconds of the machine's monotonic clock, which all processes on it share (clock_gettime(2), CLOCK_MONOTONIC). */
export function instantMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
