import type { AccessId, VaultId } from "../core/ids.ts";
import type { Clock } from "../core/ports.ts";
import type { StoredRow } from "../core/row.ts";
import { keptName } from "../crypto/kept-key.ts";
import { keepVault, type KeptVault, type OpenVault, type VaultRows } from "./vault-opening.ts";

/** A vault that is kept, and whose session's token it was opened with, where it was one's. */
export type Kept = {
  readonly vault: KeptVault;
  readonly session: { readonly id: string; readonly login: string } | null;
};

type Item = Kept & { readonly name: string; readonly bytes: number; usedAt: number };

const countMax = 2_000;
/** By the bodies of the rows: the row of a vault holds a link for each of its accesses, a megabyte in all at most. */
const bytesMax = 8 * 1024 * 1024;
const idleMsMax = 30 * 60_000;

/**
 * The vaults that clients have opened, so that a client's next request neither derives nor checks again what this one has. Each is
 * sealed under the token that opened it: without the client, memory opens nothing. Bounded: the one that was idle longest goes
 * first, and one that was idle for 30 minutes when somebody looks. Whether it still holds is for whoever finds it to see:
 * this knows nothing of the rows.
 */
export class KeptVaults {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** The one used last is last. */
  readonly #items = new Map<string, Item>();
  #bytes = 0;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#items.size;
  }

  find(bearer: string, vaultId: VaultId): Kept | undefined {
    this.#dropIdle();
    const name = keptName(bearer, vaultId);
    const item = this.#items.get(name);
    if (item === undefined) return undefined;
    item.usedAt = this.#clock.monotonicMs();
    this.#items.delete(name);
    this.#items.set(name, item);
    return item;
  }

  /** @param open stays its owner's */
  keep(bearer: string, open: OpenVault, rows: VaultRows, session: Kept["session"]): Kept {
    const vault = keepVault(open, rows, bearer);
    const bytes = rows.access.body.length + rows.vault.body.length;
    const name = keptName(bearer, open.vaultId);
    this.#drop(name);
    const item = { vault, session, name, bytes, usedAt: this.#clock.monotonicMs() };
    this.#items.set(name, item);
    this.#bytes += bytes;
    while (this.#items.size > countMax || this.#bytes > bytesMax) this.#drop(this.#oldest()?.name);
    return item;
  }

  /** To be told of rows that have changed: what was opened with them is forgotten. */
  changed(rows: readonly StoredRow[]): void {
    for (const { key } of rows) {
      if (key.kind === "vault") this.forget(key.vaultId);
      else if (key.kind === "access") this.forget(key.vaultId, key.accessId);
    }
  }

  /** @param accessId where only what this access has opened is to be forgotten */
  forget(vaultId: VaultId, accessId?: AccessId): void {
    for (const { vault, name } of this.#items.values()) {
      if (vault.vaultId !== vaultId) continue;
      if (accessId === undefined || vault.accessId === accessId) this.#drop(name);
    }
  }

  /** To be told of a session that has ended. */
  endSession(id: string): void {
    for (const { session, name } of this.#items.values()) if (session?.id === id) this.#drop(name);
  }

  #dropIdle(): void {
    const now = this.#clock.monotonicMs();
    for (let item = this.#oldest(); item && now - item.usedAt >= idleMsMax; item = this.#oldest()) {
      this.#drop(item.name);
    }
  }

  #oldest(): Item | undefined {
    const [oldest] = this.#items.values();
    return oldest;
  }

  #drop(name: string | undefined): void {
    const item = name === undefined ? undefined : this.#items.get(name);
    if (item === undefined) return;
    this.#items.delete(item.name);
    this.#bytes -= item.bytes;
  }
}
