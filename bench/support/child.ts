import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import type { Message, Visible } from "./messages.ts";

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };

/** A process that the benchmark has started. It runs as a site does, and reports what it has committed. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #calls = new Map<number, Waiting>();
  readonly #exited: Promise<unknown>;
  readonly #visible: Visible[] = [];
  #onVisible: (() => void) | null = null;
  #ids = 0;

  private constructor(nodeArgs: readonly string[], script: string, args: readonly string[]) {
    this.#process = fork(resolve(import.meta.dirname, "..", script), [...args], {
      // As bin/dormouse starts the program, apart from the garbage collection on demand.
      execArgv: ["--no-memory-reducer", "--max-semi-space-size=1", "--expose-gc", ...nodeArgs],
      env: {
        ...process.env,
        MALLOC_ARENA_MAX: "1",
        MALLOC_MMAP_THRESHOLD_: "4194304",
        MALLOC_TRIM_THRESHOLD_: "2097152",
      },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#exited = once(this.#process, "exit");
    this.#process.on("message", (message: Message) => this.#hear(message));
  }

  /** Starts a script of bench/ and resolves when it is ready. */
  static start(script: string, ...args: readonly string[]): Promise<Child> {
    return Child.startWith([], script, ...args);
  }

  /** The same with arguments of Node's own. */
  static async startWith(
    nodeArgs: readonly string[],
    script: string,
    ...args: readonly string[]
  ): Promise<Child> {
    const child = new Child(nodeArgs, script, args);
    const ready = new Promise<void>((done) => {
      child.#calls.set(0, { resolve: () => done(), reject: () => {} });
    });
    await Promise.race([
      ready,
      child.#exited.then(() => Promise.reject(new Error(`${script} has ended at its start`))),
    ]);
    return child;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  call<T>(call: string, argument?: unknown): Promise<T> {
    this.#ids += 1;
    const id = this.#ids;
    return new Promise<T>((done, reject) => {
      this.#calls.set(id, { resolve: (value) => done(value as T), reject });
      this.#process.send({ id, call, argument });
    });
  }

  /** Resolves with the instant at which everything up to `seq` was committed there. At most one may wait. */
  async visible(seq: number): Promise<number> {
    while ((this.#visible.at(-1)?.seq ?? -1) < seq) {
      await new Promise<void>((done) => {
        this.#onVisible = done;
      });
    }
    const index = this.#visible.findLastIndex((commit) => commit.seq < seq) + 1;
    return this.#visible[index]?.atMs ?? Number.NaN;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.connected) this.#process.send({ id: 0, call: "stop", argument: null });
    await this.#exited;
  }

  #hear(message: Message): void {
    if ("ready" in message) return this.#calls.get(0)?.resolve(undefined);
    if ("visible" in message) {
      this.#visible.push(message.visible);
      this.#onVisible?.();
      return;
    }
    const { id, value, error } = message.reply;
    const waiting = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }
}
