export type OperatorToken = {
  readonly tokenId: string;
  readonly verifier: Uint8Array;
  readonly label: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
};

/** The site's operator tokens. They never travel. */
export interface OperatorReader {
  /** Finds a site's operator token by its id. */
  find(tokenId: string): Promise<OperatorToken | undefined>;
  /** All of them, oldest first. */
  all(): Promise<readonly OperatorToken[]>;
}

/** Gives tokens out, and ends them. */
export interface OperatorWriter extends OperatorReader {
  add(token: OperatorToken): Promise<void>;
  /** Ends a token. Returns whether there was one. */
  remove(tokenId: string): Promise<boolean>;
}
