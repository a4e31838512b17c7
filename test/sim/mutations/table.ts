/** A bug of one line: what the simulator must find, or a test of its own where no seed can. */
export type Mutation = {
  /** The promise of docs/SPEC.md that it breaks. */
  readonly promise: string;
  readonly bug: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** A test that shows what no seed can. */
  readonly test?: { readonly file: string; readonly title: string };
};

export const mutations: readonly Mutation[] = [];
