import type { RowSummary } from "../../../core/repair.ts";
import type { RowKey } from "../../../core/row.ts";
import type { Recount, Survey } from "../../../core/store/survey.ts";
import type { OnProgress, Recounts } from "../recount.ts";
import { readBucketPage } from "../repair-rows.ts";
import type { StoreScope } from "./scope.ts";

export class SlicedSurvey implements Survey {
  readonly #scope: StoreScope;
  readonly #recounts: Recounts;

  constructor(scope: StoreScope, recounts: Recounts) {
    this.#scope = scope;
    this.#recounts = recounts;
  }

  recount(progress: OnProgress = () => {}): Promise<Recount> {
    return this.#recounts.recount(progress);
  }

  async bucketRows(bucket: number, after: RowKey | null, limit: number): Promise<readonly RowSummary[]> {
    const { ports, look } = this.#scope;
    const rows: RowSummary[] = [];
    let from = after;
    for (;;) {
      const query = { bucket, after: from, limit: limit - rows.length };
      const page = await look(({ connection }) => readBucketPage(connection, ports.hash, query));
      rows.push(...page.rows);
      if (page.next === null || rows.length === limit) return rows;
      from = page.next;
      await ports.clock.turn();
    }
  }
}
