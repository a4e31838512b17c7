import { Refusal } from "../../core/errors.ts";
import type { Clock, Hash, Random } from "../../core/ports.ts";
import type { Reader, Store, Transaction } from "../../core/store/store.ts";
import { ownChain } from "./audit-chains.ts";
import { AuditRows, type AuditSettings } from "./audit-rows.ts";
import { Uses } from "./capabilities/accesses.ts";
import { KnownAcks } from "./capabilities/acknowledgements.ts";
import { Journal } from "./capabilities/audit.ts";
import { readerOf, transactionOf } from "./capabilities/reader.ts";
import { Return } from "./capabilities/roles.ts";
import {
  type CapabilityPorts,
  ReaderScope,
  type StoreScope,
  TransactionScope,
} from "./capabilities/scope.ts";
import { SlicedSurvey } from "./capabilities/survey.ts";
import type { Connection, Connections } from "./connection.ts";
import { LogErasure } from "./erasure.ts";
import { refusalOf } from "./failures.ts";
import { Flushes, type Log } from "./flushes.ts";
import { Knowledge } from "./knowledge.ts";
import { LastUses } from "./last-uses.ts";
import type { LogFile } from "./log-file.ts";
import { ReadGate } from "./read-gate.ts";
import { Recounts } from "./recount.ts";
import type { State, View } from "./state.ts";
import { inOneStep } from "./transaction.ts";
import { WriteQueue } from "./write-queue.ts";

export type StorePorts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly hash: Hash;
  readonly audit?: AuditSettings;
};

export type SqliteStoreOptions = StorePorts & {
  readonly connections: Connections;
  /** The database file and its log, which threads can use beside this store; left away in memory. */
  readonly file?: {
    readonly path: string;
    readonly log: LogFile;
    /** Throws where another file has taken the database's place. */
    readonly refuseReplaced: () => void;
  };
  /** In memory, what makes commits durable; every commit is at once where left away. */
  readonly log?: Log;
  /** Called once, where the database can be trusted no more while it is open: its file was replaced, or a flush has failed. */
  readonly onLost?: (why: Refusal) => void;
  /** Throws a `disk_full` Refusal where the disk has too little room for clients. */
  readonly checkRoom: () => void;
};

/**
 * The store on SQLite. One process owns the database, so what it knows of it is kept in memory (Knowledge). Nothing is shown to
 * anybody before it is on the disk: a read that may have seen a commit which is not resolves when that is flushed.
 */
export class SqliteStore implements Store {
  readonly uses: Uses;
  readonly journal: Journal;
  readonly acknowledgements: KnownAcks;
  readonly erasure: LogErasure;
  readonly survey: SlicedSurvey;
  readonly homecoming: Return;
  readonly #options: SqliteStoreOptions;
  readonly #ports: CapabilityPorts;
  readonly #gate = new ReadGate();
  readonly #queue: WriteQueue;
  readonly #flushes: Flushes;
  readonly #recounts: Recounts;
  readonly #reader: Reader;
  readonly #abandoned = new AbortController();
  #closing: Promise<void> | undefined;
  #lost: Refusal | undefined;

  constructor(options: SqliteStoreOptions) {
    const { connections, file, hash, clock, random, checkRoom } = options;
    this.#options = options;
    const knowledge = new Knowledge(connections.writer);
    const audit = new AuditRows({ ...options, ...options.audit });
    this.#ports = { clock, random, hash, checkRoom, audit, knowledge, lastUses: new LastUses() };
    this.#flushes = new Flushes({
      clock,
      log: file?.log ?? options.log ?? null,
      onBegin: () => audit.flushing(ownChain(knowledge.state)),
      onFailure: (why) => this.#lose(why),
    });
    this.#queue = new WriteQueue({
      clock,
      hash,
      connection: connections.writer,
      yields: file !== undefined,
      knowledge,
      flushes: this.#flushes,
      gate: this.#gate,
      onBegin: () => this.#refuseLost(),
      onCommit: (before) => this.#committed(before),
    });
    const scope = this.#scope();
    const [path, log] = [file?.path ?? null, file?.log ?? null];
    this.#recounts = new Recounts({
      path,
      hash,
      look: scope.look,
      write: (work) => this.#queue.enqueue(inOneStep(work)),
    });
    this.#reader = readerOf(new ReaderScope(this.#ports, () => this.#reading()));
    this.uses = new Uses(scope);
    this.journal = new Journal(scope);
    this.acknowledgements = new KnownAcks(scope);
    const { look } = scope;
    const connection = connections.writer;
    this.erasure = new LogErasure({ path, clock, queue: this.#queue, look, connection, knowledge, log });
    this.survey = new SlicedSurvey(scope, this.#recounts);
    const storeAcks = () => this.acknowledgements.settle();
    const { signal: abandoned } = this.#abandoned;
    this.homecoming = new Return(scope, file ? { path: file.path, abandoned, storeAcks } : null);
  }

  async read<T>(look: (reader: Reader) => Promise<T>): Promise<T> {
    if (this.#closing) throw new Refusal("shutting_down");
    for (let opening = this.#gate.opening(); opening; opening = this.#gate.opening()) await opening;
    if (this.#lost) throw this.#lost;
    try {
      return await this.#lookWith(look);
    } finally {
      const settled = this.#flushes.settled();
      if (settled) await settled;
    }
  }

  async #lookWith<T>(look: (reader: Reader) => Promise<T>): Promise<T> {
    this.#gate.enter();
    try {
      return await look(this.#reader);
    } catch (error) {
      throw refusalOf(error);
    } finally {
      this.#gate.leave();
    }
  }

  async transact<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    let committed: TransactionScope | undefined;
    const value = await this.#openQueue().enqueue((tx) => {
      const scope = new TransactionScope(tx, this.#ports);
      committed = scope;
      return scope.steps(() => work(transactionOf(scope)));
    });
    committed?.committed();
    return value;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** A memory store's database as the bytes of a file, as they stand after the last commit. */
  serialize(): Buffer {
    return this.#options.connections.writer.database.serialize();
  }

  /** Ends at once, as a crash does: what is queued and not committed is lost. The database stays as `serialize` saw it. */
  abandon(): void {
    const { database } = this.#options.connections.writer;
    this.#closing ??= this.#recounts.stop();
    void this.erasure.stop();
    this.#abandoned.abort(new Refusal("shutting_down"));
    this.#queue.abandon();
    if (database.inTransaction) database.exec("ROLLBACK");
    void this.#closeConnections();
  }

  /** The statements prepared so far, for the test that reads their plans. */
  statements(): readonly string[] {
    const { reader, writer } = this.#options.connections;
    return [...new Set([...reader.statements(), ...writer.statements()])];
  }

  #scope(): StoreScope {
    const view = (): View => ({ connection: this.#reading(), state: this.#ports.knowledge.state });
    return {
      ports: this.#ports,
      look: (work) => this.read(async () => work(view())),
      alone: async (act) => {
        for (;;) {
          const busy = this.#gate.opening() ?? this.#gate.idle();
          if (!busy) break;
          await busy;
        }
        return this.read(async () => act(view()));
      },
      queue: () => this.#openQueue(),
    };
  }

  /**
   * The writer's connection where no transaction is open on it: its pages stay in memory from one commit to the next, while every
   * commit empties the memory of all other connections.
   */
  #reading(): Connection {
    const { reader, writer } = this.#options.connections;
    return this.#queue.isOpen ? reader : writer;
  }

  #openQueue(): WriteQueue {
    if (this.#closing) throw new Refusal("shutting_down");
    return this.#queue;
  }

  /** @throws Refusal `data_replaced`, `storage_failed` where the database is not what this store knows of it */
  #refuseLost(): void {
    if (this.#lost) throw this.#lost;
    try {
      this.#options.file?.refuseReplaced();
    } catch (error) {
      if (error instanceof Refusal) this.#lose(error);
      throw error;
    }
  }

  #lose(why: Refusal): void {
    if (this.#lost) return;
    this.#lost = why;
    this.#options.onLost?.(why);
  }

  #committed(before: State): void {
    const { file, log, connections } = this.#options;
    const { audit, knowledge } = this.#ports;
    const own = ownChain(knowledge.state);
    audit.appended(ownChain(before), own);
    if (!file && !log) audit.flushing(own)();
    file?.log.committed(connections.writer, (work) => this.#queue.hold(work));
  }

  async #close(): Promise<void> {
    const acks = this.acknowledgements.settle().catch(() => undefined);
    await this.#recounts.stop();
    await this.erasure.stop();
    await acks;
    await this.#queue.idle();
    await this.#closeConnections();
  }

  async #closeConnections(): Promise<void> {
    const { connections, file } = this.#options;
    const { reader, writer } = connections;
    // SQLite deletes the log with the last connection to it, and a flush under way needs it.
    if (file) await this.#flushes.idle();
    await file?.log.idle();
    reader.close();
    if (writer !== reader) writer.close();
    await file?.log.close();
  }
}
