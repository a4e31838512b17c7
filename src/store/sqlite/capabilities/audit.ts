import type { AuditEvent, AuditPart, AuditRecord } from "../../../core/audit.ts";
import type { ChainId, SiteName } from "../../../core/ids.ts";
import type {
  AuditChain,
  AuditJournal,
  AuditPage,
  AuditQuery,
  AuditReader,
  AuditTrouble,
  AuditWriter,
} from "../../../core/store/audit.ts";
import { readRecordsOf, settleChains, troublesOf } from "../audit-chains.ts";
import { readAuditPage } from "../audit-records.ts";
import { inOneStep } from "../transaction.ts";
import type { ReadScope, StoreScope, TransactionScope } from "./scope.ts";

export class AuditReads implements AuditReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async partFor(peer: SiteName): Promise<AuditPart> {
    const { view, ports } = this.#scope;
    return ports.audit.partFor(view, peer);
  }

  async troubles(): Promise<readonly AuditTrouble[]> {
    return troublesOf(this.#scope.view.state);
  }

  async chains(): Promise<readonly AuditChain[]> {
    return this.#scope.view.state.chains;
  }

  async records(chain: ChainId, after: number, limit: number): Promise<readonly AuditRecord[]> {
    return readRecordsOf(this.#scope.view, chain, after, limit);
  }

  async page(query: AuditQuery): Promise<AuditPage> {
    return readAuditPage(this.#scope.view, query);
  }

  async shown(): ReturnType<AuditReader["shown"]> {
    return [...this.#scope.view.state.shown]
      .map(([peer, heads]) => ({ peer, heads }))
      .toSorted((a, b) => (a.peer < b.peer ? -1 : 1));
  }
}

export class AuditWrites extends AuditReads implements AuditWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  record(event: AuditEvent): Promise<void> {
    const { audit } = this.#scope.ports;
    return this.#scope.do((tx) => audit.append(tx, [event]));
  }

  settle(): Promise<void> {
    return this.#scope.do((tx) => settleChains(tx, () => true));
  }
}

export class Journal implements AuditJournal {
  readonly #scope: StoreScope;

  constructor(scope: StoreScope) {
    this.#scope = scope;
  }

  async record(event: AuditEvent): Promise<void> {
    const { ports, queue } = this.#scope;
    await ports.audit.record(event, (work) => queue().enqueue(inOneStep(work), "committed"));
  }
}
