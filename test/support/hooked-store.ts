import type { Reader, Store, Transaction } from "../../src/core/store/store.ts";

/** What a test does around what is asked of a store. Operations have names such as `rows.write`. */
export type StoreHooks = {
  /** Around each read, transaction, or call beside them. `names` are those of its operations, as far as it has run. */
  readonly call?: <T>(run: () => Promise<T>, names: ReadonlySet<string>) => Promise<T>;
  /** Around each operation in them. */
  readonly operation?: <T>(name: string, run: () => Promise<T>, args: readonly unknown[]) => Promise<T>;
};

/** The same store, with hooks around what is asked of it. */
export function hooked(store: Store, hooks: StoreHooks): Store {
  const { call = (run) => run(), operation = (_name, run) => run() } = hooks;
  const watch = <Capability extends object>(
    capability: Capability,
    of: string,
    names: Set<string>,
  ): Capability =>
    new Proxy(capability, {
      get: (target, member) => {
        const method: unknown = Reflect.get(target, member, target);
        if (typeof method !== "function") return method;
        return (...args: unknown[]): unknown => {
          const name = `${of}.${String(member)}`;
          names.add(name);
          return operation(name, async () => Reflect.apply(method, target, args) as Promise<unknown>, args);
        };
      },
    });
  const watchAll = <Capabilities extends Reader>(
    capabilities: Capabilities,
    names: Set<string>,
  ): Capabilities => {
    const watched = Object.entries(capabilities).map(([of, each]) => [of, watch(each as object, of, names)]);
    return Object.fromEntries(watched) as Capabilities;
  };
  const beside = <Name extends "uses" | "journal" | "acknowledgements" | "erasure" | "survey" | "homecoming">(
    of: Name,
  ): Store[Name] =>
    new Proxy(store[of], {
      get: (target, member) => {
        const names = new Set<string>();
        const method: unknown = Reflect.get(watch(target, of, names), member);
        // Never waits, so that nothing can be around it.
        if (member === "note" || typeof method !== "function") return Reflect.get(target, member, target);
        return (...args: unknown[]) =>
          call(async () => Reflect.apply(method, target, args) as unknown, names);
      },
    });
  return {
    read: <T>(look: (reader: Reader) => Promise<T>) => {
      const names = new Set<string>();
      return call(() => store.read((reader) => look(watchAll(reader, names))), names);
    },
    transact: <T>(work: (tx: Transaction) => Promise<T>) => {
      const names = new Set<string>();
      return call(() => store.transact((tx) => work(watchAll(tx, names))), names);
    },
    uses: beside("uses"),
    journal: beside("journal"),
    acknowledgements: beside("acknowledgements"),
    erasure: beside("erasure"),
    survey: beside("survey"),
    homecoming: beside("homecoming"),
    close: () => store.close(),
  };
}
