import { Refusal } from "../../core/errors.ts";
import type { Clock, Hash } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import { refusalOf } from "./failures.ts";
import type { LargeCommit } from "./large-commit.ts";
import { type Steps, Transaction, type Work } from "./transaction.ts";

/** When a member's change must be on disk: before its promise resolves, or with the next commit that is. */
export type Durability = "at_commit" | "at_next_commit";

type Member = {
  readonly work: Work<unknown>;
  readonly durability: Durability;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};

/** `work` settles the promise of who holds the queue, and never rejects. */
type Holder = { readonly work: () => Promise<void>; readonly reject: (error: unknown) => void };

type Outcome =
  | { readonly kind: "done"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: unknown };

export type WriteQueueOptions = {
  readonly clock: Pick<Clock, "turn">;
  readonly hash: Hash;
  /** Asked anew for every transaction, since the database may be replaced between two. */
  readonly connection: () => Connection;
  /**
   * How a large transaction is committed without making anybody wait; null where no other work may run while a transaction is
   * open, because readers have no connection of their own.
   */
  readonly largeCommit: LargeCommit | null;
  readonly log?: { readonly flush: () => Promise<void> } | null;
  /** Told after each commit whether it, and so everything before it, is on disk for good. */
  readonly onCommit?: (isDurable: boolean) => void;
};

/**
 * The store's only way to write. Members that arrive in one turn of the event loop share a transaction and so a disk flush,
 * each in a savepoint of its own: one that fails takes nothing with it. Members settle only after the COMMIT, all of them
 * as rejected where it fails. Without the queue two writers could meet on the one connection.
 */
export class WriteQueue {
  readonly #options: WriteQueueOptions;
  #members: Member[] = [];
  #holders: Holder[] = [];
  #flushing: Promise<void> | undefined;
  #abandoned = false;
  /** Settled members of committed transactions, which the next flush makes durable. */
  #committed: (() => void)[] = [];
  #commits = 0;
  #logFlush: Promise<void> | undefined;

  get unflushed(): Promise<void> | undefined {
    return this.#logFlush;
  }

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  enqueue<T>(work: Work<T>, durability: Durability = "at_commit"): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#members.push({ work, durability, resolve: (value) => resolve(value as T), reject });
      this.#flushing ??= this.#flush();
    });
  }

  /**
   * Runs `work` while no transaction is open, and begins none until it has settled: for one that writes through a connection
   * of its own.
   */
  hold<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#holders.push({ work: () => work().then(resolve, reject), reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Resolves when everything queued so far has been settled. */
  async idle(): Promise<void> {
    while (this.#flushing || this.#logFlush) await (this.#flushing ?? this.#logFlush);
    await this.#options.largeCommit?.idle();
  }

  /** Rejects what has not begun, as a crash would lose it. What comes later is rejected too. */
  abandon(): void {
    this.#abandoned = true;
    this.#rejectAll();
  }

  #rejectAll(): void {
    for (const { reject } of [...this.#members.splice(0), ...this.#holders.splice(0)]) {
      reject(new Refusal("shutting_down"));
    }
  }

  async #flush(): Promise<void> {
    do {
      await this.#options.clock.turn();
      let members: readonly Member[] = this.#members.splice(0);
      while (members.length > 0 && !this.#abandoned) members = await this.#drive(this.#commit(members));
      for (const member of members) member.reject(new Refusal("shutting_down"));
      if (this.#abandoned) this.#rejectAll();
      await this.#holders.shift()?.work();
    } while (this.#members.length > 0 || this.#holders.length > 0);
    this.#flushing = undefined;
  }

  /** Awaits nothing where the store does not yield, so that a memory store is never seen between BEGIN and COMMIT. */
  async #drive<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      if (step.value) await step.value;
      else if (this.#options.largeCommit) await this.#options.clock.turn();
    }
  }

  /** One transaction over the members. Returns those to run again: the others of a group that one member's failure undid. */
  *#commit(members: readonly Member[]): Steps<readonly Member[]> {
    const connection = this.#options.connection();
    const tx = new Transaction(connection, this.#options.hash);
    const outcomes = new Map<Member, Outcome>();
    let slices = 0;
    try {
      begin(connection, members);
      for (const member of members) {
        const run = members.length === 1 ? runAlone(tx, member) : runMember(tx, member);
        const outcome = yield* noting(run, () => {
          slices += 1;
        });
        outcomes.set(member, outcome);
        if (!connection.database.inTransaction) return withoutFailed(members, member, outcome);
      }
      tx.flush();
      yield* this.#finish(connection, slices >= largeSlices);
      this.#commits += 1;
      if (!this.#options.log) this.#options.onCommit?.(isDurable(members));
    } catch (error) {
      for (const member of members) member.reject(refusalOf(error));
      undo(connection);
      return [];
    }
    const answer = () => {
      for (const [member, outcome] of outcomes) settle(member, outcome);
    };
    if (this.#options.log && isDurable(members)) {
      this.#committed.push(answer);
      this.#logFlush ??= this.#flushLog(this.#options.log);
    } else answer();
    return [];
  }

  async #flushLog({ flush }: { readonly flush: () => Promise<void> }): Promise<void> {
    while (this.#committed.length > 0) {
      const covered = this.#committed.splice(0);
      const commits = this.#commits;
      await flush();
      if (commits === this.#commits) this.#options.onCommit?.(true);
      for (const answer of covered) answer();
    }
    this.#logFlush = undefined;
  }

  *#finish(connection: Connection, isLarge: boolean): Steps<void> {
    const largeCommit = isLarge ? this.#options.largeCommit : null;
    if (largeCommit) yield largeCommit.prepare(connection);
    try {
      connection.run("COMMIT");
    } finally {
      largeCommit?.finish(connection);
    }
  }
}

/** From so many slices on (of some 200 rows each) a commit would take long enough for others to notice. */
const largeSlices = 5;

/** The same steps; `onSlice` is called where they let other work run. */
function* noting<T>(steps: Steps<T>, onSlice: () => void): Steps<T> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    onSlice();
    yield step.value;
  }
}

/** A commit that nobody's promise depends on need not wait for the disk; the next one that does carries it along. */
function begin(connection: Connection, members: readonly Member[]): void {
  connection.setSynchronous(isDurable(members) ? "FULL" : "NORMAL");
  connection.run("BEGIN IMMEDIATE");
}

function isDurable(members: readonly Member[]): boolean {
  return members.some((member) => member.durability === "at_commit");
}

/**
 * What fails alone takes nobody with it, so the whole transaction is undone and no savepoint is needed: SQLite would keep a copy
 * of every page changed in it, and walk past all of them at the end of every statement.
 */
function* runAlone(tx: Transaction, { work }: Member): Steps<Outcome> {
  return { kind: "done", value: yield* work(tx) };
}

function* runMember(tx: Transaction, member: Member): Steps<Outcome> {
  const before = tx.savepoint();
  try {
    const value = yield* member.work(tx);
    tx.release();
    return { kind: "done", value };
  } catch (error) {
    if (tx.connection.database.inTransaction) tx.rollback(before);
    return { kind: "failed", error: refusalOf(error) };
  }
}

/** SQLite itself rolls back everything on some faults (a full disk): the member that met it is out, the others run again. */
function withoutFailed(members: readonly Member[], failed: Member, outcome: Outcome): readonly Member[] {
  settle(failed, outcome);
  return members.filter((member) => member !== failed);
}

function settle(member: Member, outcome: Outcome): void {
  if (outcome.kind === "done") member.resolve(outcome.value);
  else member.reject(outcome.error);
}

/** The members have the fault that led here; should the ROLLBACK meet another, the next group's begin fails and tries again. */
function undo(connection: Connection): void {
  try {
    if (connection.database.inTransaction) connection.database.exec("ROLLBACK");
  } catch (error) {
    if (!(refusalOf(error) instanceof Refusal)) throw error;
  }
}
