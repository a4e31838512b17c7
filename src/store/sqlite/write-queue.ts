import { Refusal } from "../../core/errors.ts";
import type { Clock, Hash } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import { refusalOf } from "./failures.ts";
import type { Flushes } from "./flushes.ts";
import type { Knowledge } from "./knowledge.ts";
import { ReadGate } from "./read-gate.ts";
import type { State } from "./state.ts";
import { type Steps, Transaction, type Work } from "./transaction.ts";

/**
 * What a member of the queue waits for. `durable`: its change is on the disk. `committed`: others see it, and a loss of power may
 * undo it.
 */
export type Durability = "durable" | "committed";

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
  readonly connection: Connection;
  /** Whether other work may run while a transaction is open: not where readers have no connection of their own. */
  readonly yields: boolean;
  readonly knowledge: Knowledge;
  readonly flushes: Flushes;
  /** Through which reads go. */
  readonly gate?: ReadGate;
  /** Called before each transaction; what it throws keeps that from beginning. */
  readonly onBegin?: () => void;
  /** Called after each COMMIT with the state before it. */
  readonly onCommit?: (before: State) => void;
};

/**
 * The store's only way to write. Members that arrive in one turn of the event loop share a transaction, each in a savepoint of its
 * own: one that fails takes nothing with it. A member settles when its transaction is committed and, where it asked for that, on
 * the disk; all of them reject where COMMIT fails. Without the queue two writers could meet on the one connection.
 */
export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #gate: ReadGate;
  #members: Member[] = [];
  #holders: Holder[] = [];
  #running: Promise<void> | undefined;
  #abandoned = false;
  #isOpen = false;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
    this.#gate = options.gate ?? new ReadGate();
  }

  enqueue<T>(work: Work<T>, durability: Durability = "durable"): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#members.push({ work, durability, resolve: (value) => resolve(value as T), reject });
      this.#running ??= this.#run();
    });
  }

  /** Whether a transaction is open: a change of what is known beside it would be lost with its COMMIT. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Runs `work` while no transaction is open, and begins none until it has settled: for one that writes through a connection
   * of its own.
   */
  hold<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#holders.push({ work: () => work().then(resolve, reject), reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when everything queued so far has been settled. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
    await this.#options.flushes.idle();
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

  async #run(): Promise<void> {
    do {
      await this.#options.clock.turn();
      await this.#options.flushes.gathered();
      let members: readonly Member[] = this.#members.splice(0);
      while (members.length > 0 && !this.#abandoned) members = await this.#drive(this.#commit(members));
      for (const member of members) member.reject(new Refusal("shutting_down"));
      if (this.#abandoned) this.#rejectAll();
      await this.#holders.shift()?.work();
    } while (this.#members.length > 0 || this.#holders.length > 0);
    this.#running = undefined;
  }

  async #drive<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      if (step.value) await step.value;
      else if (this.#options.yields) await this.#options.clock.turn();
    }
  }

  /** A transaction on the connection of the readers is out of their sight. */
  *#commit(members: readonly Member[]): Steps<readonly Member[]> {
    if (!this.#options.yields) yield* this.#gate.close();
    try {
      return this.#abandoned ? members : yield* this.#commitAll(members);
    } finally {
      this.#gate.open();
    }
  }

  /** One transaction over the members. Returns those to run again: the others of a group that one member's failure undid. */
  *#commitAll(members: readonly Member[]): Steps<readonly Member[]> {
    const { connection, knowledge, onBegin, flushes } = this.#options;
    const outcomes = new Map<Member, Outcome>();
    let isCommitting = false;
    let before: State;
    try {
      if (flushes.failure) throw flushes.failure;
      onBegin?.();
      before = knowledge.state;
      const tx = new Transaction({ connection, hash: this.#options.hash, knowledge });
      this.#isOpen = true;
      connection.run("BEGIN IMMEDIATE");
      for (const member of members) {
        const outcome = yield* members.length === 1 ? runAlone(tx, member) : runMember(tx, member);
        outcomes.set(member, outcome);
        if (!connection.database.inTransaction) return this.#withoutFailed(members, member, outcome);
      }
      yield* this.#gate.none();
      tx.flush();
      isCommitting = true;
      connection.run("COMMIT");
      knowledge.committed(tx.committed());
    } catch (error) {
      const failed: Outcome = { kind: "failed", error: refusalOf(error) };
      settleAfter(flushes.settled(), new Map(members.map((member) => [member, failed])));
      this.#undo(isCommitting);
      return [];
    } finally {
      this.#isOpen = false;
    }
    this.#settleAll(outcomes, before);
    return [];
  }

  #settleAll(outcomes: ReadonlyMap<Member, Outcome>, before: State): void {
    const { flushes, onCommit } = this.#options;
    const commit = flushes.committed();
    onCommit?.(before);
    const waiting = new Map<Member, Outcome>();
    let isFlushed = false;
    for (const [member, outcome] of outcomes) {
      const isDone = outcome.kind === "done";
      isFlushed ||= isDone && member.durability === "durable";
      if (isDone && member.durability === "committed") settle(member, outcome);
      else waiting.set(member, outcome);
    }
    settleAfter(isFlushed ? flushes.reach(commit) : flushes.settled(), waiting);
  }

  /** SQLite itself rolls back everything on some faults (a full disk): the member that met it is out, the others run again. */
  #withoutFailed(members: readonly Member[], failed: Member, outcome: Outcome): readonly Member[] {
    this.#options.knowledge.reload();
    settle(failed, outcome);
    return members.filter((member) => member !== failed);
  }

  /** The members have the fault that led here; should the ROLLBACK meet another, the next group's begin fails and tries again. */
  #undo(wasCommitting: boolean): void {
    const { connection, knowledge } = this.#options;
    // Of a COMMIT that failed, only the disk knows what came of it.
    if (wasCommitting) knowledge.reload();
    try {
      if (connection.database.inTransaction) connection.database.exec("ROLLBACK");
    } catch (error) {
      knowledge.reload();
      if (!(refusalOf(error) instanceof Refusal)) throw error;
    }
  }
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

/** Why a member failed may show what others have committed: it is told when that is on the disk, as whatever else is. */
function settleAfter(flushed: Promise<void> | undefined, outcomes: ReadonlyMap<Member, Outcome>): void {
  const settleNow = () => outcomes.forEach((outcome, member) => settle(member, outcome));
  if (!flushed) return settleNow();
  flushed.then(settleNow, (error: unknown) => outcomes.forEach((_, member) => member.reject(error)));
}

function settle(member: Member, outcome: Outcome): void {
  if (outcome.kind === "done") member.resolve(outcome.value);
  else member.reject(outcome.error);
}
