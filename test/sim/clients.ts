import { decodeAccess } from "../../src/core/access.ts";
import { addAccess, byCaller } from "../../src/core/access-writes.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { AccessId, KeyId, SiteName, VaultId } from "../../src/core/ids.ts";
import { formatPosition } from "../../src/core/position.ts";
import { formatKey, isIntact, type RowKey, type StoredRow } from "../../src/core/row.ts";
import type { Write } from "../../src/core/store/rows.ts";
import type { Site } from "../../src/core/store/site.ts";
import { vaultKey } from "../../src/core/vault.ts";
import { sha256Hash } from "../support/ports.ts";
import { versionOf } from "./bodies.ts";
import { readHistory, requireUnchanged, withHistory } from "./entry-history.ts";
import { HeaderSeal } from "./header-seal.ts";
import type { TrackedWrite } from "./ledger.ts";
import type { SiteProcess } from "./site-process.ts";
import { findCaller, keyIdOf, prepareChange, readingIntact, readVault } from "./vault-keys.ts";
import type { World } from "./world.ts";

/** The largest padding that a row's body gets, in bytes. */
const paddingBytes = 64;

/** People and machines that write and read at the sites of a world, and the truth of what they were told. */
export class Clients {
  readonly #world: World;
  /** How often a vault's key was changed. */
  keyChanges = 0;
  #reads = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /**
   * A client's write to one row, old or new, or its purge, at one site. Resolves when it is answered:
   * never where the site crashes. A client sees what it changes: a row that is purged or damaged is changed no more.
   */
  async write(key: RowKey, isPurge: boolean, site: SiteName): Promise<TrackedWrite | Refusal> {
    const write = this.#world.ledger.begin(key, isPurge);
    for (;;) {
      const outcome = await this.#tryWrite(write, site);
      const isRaced = outcome instanceof Refusal && outcome.code === "write_raced";
      if (!isRaced || !this.#world.isUp(site)) return outcome;
    }
  }

  async #tryWrite(write: TrackedWrite, site: SiteName): Promise<TrackedWrite | Refusal> {
    const { ledger } = this.#world;
    const { key, isPurge } = write;
    const { vaultId } = key;
    const process = this.#world.process(site);
    return this.#commit(write, site, async (seen) => {
      const history = await readHistory(process.store, key);
      const change: Write = {
        keys: [key, vaultKey(vaultId)],
        decide: ([current, vault]) => {
          if (current && (current.body === null || !isIntact(sha256Hash, current)))
            throw new Refusal("entry_unknown");
          requireUnchanged(history, current);
          seen();
          const keyId = keyIdOf(vault);
          if (!keyId && !isPurge && key.kind !== "vault") throw new Refusal("vault_unknown");
          const version = current?.body && key.kind === "entry" ? versionOf(key, current.body) + 1 : 1;
          const form = { version, paddingBytes: this.#world.draw(paddingBytes), ...(keyId && { keyId }) };
          const body = ledger.build(write, current, form);
          if (key.kind === "access" && body && !current && keyId)
            return granting(key, body, keyId).decide([vault, current]);
          return withHistory({ key, body }, current, history);
        },
      };
      const isEdit = key.kind === "entry" && !isPurge;
      const caller = isEdit
        ? await findCaller(process.store, vaultId, (from) => this.#world.pick(from))
        : undefined;
      const rows = await process.write(caller ? readingIntact(byCaller(change, caller)) : change);
      if (caller?.renewal) this.#world.count("slots made anew");
      if (isEdit) this.#resealLater(process, vaultId);
      return rows;
    });
  }

  /** Commits a client's write, and keeps in mind where, and what came of it. */
  async #commit(
    write: TrackedWrite,
    site: SiteName,
    commit: (seen: () => void) => Promise<readonly StoredRow[]>,
  ): Promise<TrackedWrite | Refusal> {
    let seen: Site | undefined;
    try {
      // As it is within the transaction.
      const rows = await commit(() => {
        seen = this.#world.record(site);
      });
      const isOwn = (row: StoredRow) => formatKey(row.key) === formatKey(write.key);
      write.position = rows.find(isOwn)?.position ?? null;
      if (seen) this.#world.watch.wrote(seen);
      this.#world.note(`${site} wrote ${describe(write)}`);
      this.#world.count(write.isPurge ? "purges" : "writes");
      return write;
    } catch (error) {
      return error instanceof Refusal ? error : this.#world.watch.report(error);
    }
  }

  /** A client with an access to a vault changes its key, and ends an access with it. Answered as `write` is. */
  async revoke(key: RowKey & { kind: "access" }, site: SiteName): Promise<TrackedWrite | Refusal> {
    const write = this.#world.ledger.begin(key, true);
    for (;;) {
      const outcome = await this.#commit(write, site, (seen) =>
        this.#changeKey(
          site,
          key.vaultId,
          (rows) => {
            seen();
            const row = rows.find((each) => each && formatKey(each.key) === formatKey(key));
            this.#world.ledger.build(write, row, { version: 1, paddingBytes: 0 });
          },
          key.accessId,
        ),
      );
      const isRaced = outcome instanceof Refusal && outcome.code === "write_raced";
      if (!isRaced || !this.#world.isUp(site)) return outcome;
    }
  }

  /** A client changes a vault's key, and ends no access. */
  async changeKey(vaultId: VaultId, site: SiteName): Promise<void> {
    try {
      await this.#changeKey(site, vaultId, () => undefined, null);
    } catch (error) {
      if (!(error instanceof Refusal)) this.#world.watch.report(error);
    }
  }

  async #changeKey(
    site: SiteName,
    vaultId: VaultId,
    decided: (rows: readonly (StoredRow | undefined)[]) => void,
    revoked: AccessId | null,
  ): Promise<readonly StoredRow[]> {
    const process = this.#world.process(site);
    const { random } = this.#world;
    const pick = <T>(from: readonly T[]): T => this.#world.pick(from);
    const { write, change } = await prepareChange(process.store, vaultId, { revoked, random, pick });
    const decide: Write["decide"] = (rows) => {
      const changes = write.decide(rows);
      decided(rows);
      return changes;
    };
    const rows = await process.write({ ...write, decide });
    this.keyChanges += 1;
    this.#world.count("changes of a key");
    this.#world.note(`${site} changed the key of ${vaultId} to ${change.vault.keyId}`);
    this.#resealLater(process, vaultId);
    return rows;
  }

  /** What a request that has opened a vault leaves running behind it. No answer waits for that. */
  #resealLater(process: SiteProcess, vaultId: VaultId): void {
    this.#reseal(process, vaultId).catch((error: unknown) => {
      if (!(error instanceof Refusal)) this.#world.watch.report(error);
    });
  }

  async #reseal(process: SiteProcess, vaultId: VaultId): Promise<void> {
    const found = await readVault(process.store, vaultId);
    if (!found || found.vault.older.length + found.vault.links.length === 0) return;
    process.reseal(new HeaderSeal(vaultId, found.vault));
  }

  /** A client reads: nothing of it but the audit is kept. */
  async read(site: SiteName): Promise<void> {
    this.#reads += 1;
    this.#world.count("reads");
    try {
      await this.#world.process(site).read(`read ${this.#reads}`);
    } catch (error) {
      if (!(error instanceof Refusal)) this.#world.watch.report(error);
    }
  }

  /** A client writes anew, or purges, what it cannot read any more: rows that nobody holds intact. */
  async rewriteDamaged(site: SiteName): Promise<void> {
    for (const row of (await this.#world.rows(site)).values()) {
      if (isIntact(sha256Hash, row)) continue;
      const { key } = row;
      const isPurge = row.body === null || key.kind === "stranded" || key.kind === "version";
      const write = this.#world.ledger.begin(key, isPurge);
      const version = await this.#versionAbove(site, key);
      const keyId = keyIdOf(
        await this.#world.process(site).store.read((r) => r.rows.row(vaultKey(key.vaultId))),
      );
      const form = { version, paddingBytes: this.#world.draw(paddingBytes), ...(keyId && { keyId }) };
      const body = this.#world.ledger.rebuild(write, row, form);
      const written = this.#world.process(site).write({ keys: [key], decide: () => [{ key, body }] });
      this.#world.note(`${site} writes ${formatKey(key)} anew`);
      await this.#world.scheduler.run(0);
      await written;
    }
  }

  /** Of an entry that cannot be read any more, above whatever it was. */
  async #versionAbove(site: SiteName, key: RowKey): Promise<number> {
    if (key.kind !== "entry") return 1;
    return (
      (await this.#world.process(site).store.read((r) => r.rows.newestVersion(key.vaultId, key.entryId))) + 2
    );
  }
}

/** A new access changes its vault's row too, so that a change of the key finds out. */
function granting(key: RowKey & { kind: "access" }, body: Uint8Array, keyId: KeyId): Write {
  const { vaultId, accessId } = key;
  return addAccess(vaultId, { accessId, access: decodeAccess(body) }, keyId, 0);
}

function describe({ id, key, position, isPurge }: TrackedWrite): string {
  return `${id} ${isPurge ? "(purge) " : ""}${formatKey(key)} at ${position && formatPosition(position)}`;
}
