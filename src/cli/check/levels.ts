/** What Nagios takes the exit statuses of a check for, in their order; the worst counts. */
export const levels = ["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const;
export type Level = (typeof levels)[number];
