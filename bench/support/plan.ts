/** What every part is told. */
export type Plan = {
  /** On a disk; everything that a part stores lies below it and goes with it. */
  readonly folder: string;
  /** How often what varies is measured; the tables show medians. */
  readonly runs: number;
};
