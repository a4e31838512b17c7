import type { AccessReader, AccessUses, AccessWriter } from "./accesses.ts";
import type { AlertReader, AlertWriter } from "./alerts.ts";
import type { AsideReader, AsideWriter } from "./aside.ts";
import type { AuditJournal, AuditReader, AuditWriter } from "./audit.ts";
import type { Erasure } from "./erasure.ts";
import type { OperatorReader, OperatorWriter } from "./operators.ts";
import type { RepairReader, RepairWriter } from "./repair.ts";
import type { Acknowledgements, ReplicationReader, ReplicationWriter } from "./replication.ts";
import type { Homecoming, RoleWriter } from "./roles.ts";
import type { RowReader, RowWriter } from "./rows.ts";
import type { SiteReader, SiteWriter } from "./site.ts";
import type { Survey } from "./survey.ts";

/** One state of the data, by capability. Nothing in it can write. */
export interface Reader {
  readonly site: SiteReader;
  readonly operators: OperatorReader;
  readonly rows: RowReader;
  readonly accesses: AccessReader;
  readonly replication: ReplicationReader;
  readonly repair: RepairReader;
  readonly aside: AsideReader;
  readonly audit: AuditReader;
  readonly alerts: AlertReader;
}

/** An open transaction: what it reads shows what it has changed. */
export interface Transaction extends Reader {
  readonly site: SiteWriter;
  readonly operators: OperatorWriter;
  readonly rows: RowWriter;
  readonly accesses: AccessWriter;
  readonly replication: ReplicationWriter;
  readonly repair: RepairWriter;
  readonly roles: RoleWriter;
  readonly aside: AsideWriter;
  readonly audit: AuditWriter;
  readonly alerts: AlertWriter;
}

/**
 * The store's port. Everything rejects with a Refusal (`disk_full`, `storage_failed`, `database_corrupt`) when the disk fails, and
 * with `shutting_down` after `close`. All times are wall-clock milliseconds.
 */
export interface Store {
  /**
   * Looks at one state of the data: no commit falls between what `look` reads. It may await nothing but its reader, and must not
   * keep it: what a read waits for, writers wait for too.
   */
  read<T>(look: (reader: Reader) => Promise<T>): Promise<T>;
  /**
   * Runs `work` in one transaction, which commits when its promise resolves and is undone when it rejects. Resolves when the changes
   * are durable. Transactions that are begun in one turn of the event loop may share a commit; one that fails
   * takes nothing of the others with it.
   *
   * `work` may await nothing but its transaction, which waits for nobody else, and must not keep it. It may run twice, so it
   * changes nothing but the transaction. An operation that rejects undoes the transaction, also where `work` catches it.
   */
  transact<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** When accesses were used. */
  readonly uses: AccessUses;
  /** Records what changed nothing else. */
  readonly journal: AuditJournal;
  readonly acknowledgements: Acknowledgements;
  readonly erasure: Erasure;
  readonly survey: Survey;
  readonly homecoming: Homecoming;
  /** Finishes what is queued, then closes. Calls after it reject with `shutting_down`. May be repeated. */
  close(): Promise<void>;
}

/** A store for those who only look, and only at these capabilities. */
export type Reads<Names extends keyof Reader> = {
  read<T>(look: (reader: Pick<Reader, Names>) => Promise<T>): Promise<T>;
};

/** A store for those who change what the first capabilities hold, and look at the others too. */
export type Transacts<Names extends keyof Transaction, Looks extends keyof Reader = never> = Reads<
  (Names & keyof Reader) | Looks
> & {
  transact<T>(work: (tx: Pick<Transaction, Names> & Pick<Reader, Looks>) => Promise<T>): Promise<T>;
};
