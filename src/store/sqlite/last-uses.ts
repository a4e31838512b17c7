import type { AccessId, VaultId } from "../../core/ids.ts";
import type { Connection } from "./connection.ts";

type Use = { readonly vaultId: VaultId; readonly accessId: AccessId; readonly at: number };

/** As many accesses are remembered; of more of them the one that was noted first is forgotten. */
const usesMax = 2_000;

/** As many are written with one write, which must not pay for those who only read. */
const writtenMax = 100;

/** A use so soon after the one that is stored is written with a later write: a client that writes all day need not pay each time. */
const staleMs = 60_000;

/**
 * When accesses were last used. Noted in memory, and written only with what a client writes anyway: who reads makes nobody write,
 * and what was not written when the site ends is forgotten.
 */
export class LastUses {
  readonly #uses = new Map<string, Use>();
  readonly #written = new Map<string, number>();

  note(use: Use): void {
    const name = nameOf(use);
    const known = this.#uses.get(name);
    this.#uses.delete(name);
    this.#uses.set(name, known && known.at > use.at ? known : use);
    const [oldest] = this.#uses.keys();
    if (this.#uses.size <= usesMax || oldest === undefined) return;
    this.#uses.delete(oldest);
    this.#written.delete(oldest);
  }

  /** What a write is to take with it. */
  due(): readonly Use[] {
    const due: Use[] = [];
    for (const [name, use] of this.#uses) {
      if (use.at - (this.#written.get(name) ?? Number.NEGATIVE_INFINITY) >= staleMs) due.push(use);
      if (due.length === writtenMax) break;
    }
    return due;
  }

  /** To be called when they are committed. */
  written(uses: readonly Use[]): void {
    for (const use of uses) if (this.#uses.has(nameOf(use))) this.#written.set(nameOf(use), use.at);
  }

  /** What is stored of a vault, and what is known beside it. */
  merge(vaultId: VaultId, stored: ReadonlyMap<AccessId, number>): ReadonlyMap<AccessId, number> {
    const merged = new Map(stored);
    for (const use of this.#uses.values()) {
      if (use.vaultId !== vaultId) continue;
      merged.set(use.accessId, Math.max(use.at, merged.get(use.accessId) ?? 0));
    }
    return merged;
  }
}

function nameOf({ vaultId, accessId }: Use): string {
  return `${vaultId}/${accessId}`;
}

export function storeUses(connection: Connection, uses: readonly Use[]): void {
  for (const { vaultId, accessId, at } of uses) {
    connection.run(
      `INSERT INTO last_uses (vault_id, access_id, at) VALUES (?, ?, ?)
       ON CONFLICT (vault_id, access_id) DO UPDATE SET at = max(at, excluded.at)`,
      vaultId,
      accessId,
      at,
    );
  }
}

/** To be called when an access has ended. */
export function forgetUse(connection: Connection, { vaultId, accessId }: Omit<Use, "at">): void {
  connection.run("DELETE FROM last_uses WHERE vault_id = ? AND access_id = ?", vaultId, accessId);
}

export function readUses(connection: Connection, vaultId: VaultId): ReadonlyMap<AccessId, number> {
  const sql = "SELECT access_id, at FROM last_uses WHERE vault_id = ?";
  const records = connection.all<{ access_id: AccessId; at: number }>(sql, vaultId);
  return new Map(records.map(({ access_id: accessId, at }) => [accessId, at]));
}
