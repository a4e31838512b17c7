import type { OperatorReader, OperatorToken, OperatorWriter } from "../../../core/store/operators.ts";
import { deleteOperator, insertOperator, readOperator, readOperators } from "../site-record.ts";
import type { ReadScope, TransactionScope } from "./scope.ts";

export class OperatorReads implements OperatorReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async find(tokenId: string): Promise<OperatorToken | undefined> {
    return readOperator(this.#scope.view.connection, tokenId);
  }

  async all(): Promise<readonly OperatorToken[]> {
    return readOperators(this.#scope.view.connection);
  }
}

export class OperatorWrites extends OperatorReads implements OperatorWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  add(token: OperatorToken): Promise<void> {
    return this.#scope.do((tx) => insertOperator(tx.connection, token));
  }

  remove(tokenId: string): Promise<boolean> {
    return this.#scope.do((tx) => deleteOperator(tx.connection, tokenId));
  }
}
