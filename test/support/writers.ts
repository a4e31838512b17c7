import { setTimeout as delay } from "node:timers/promises";
import { newUuidV7 } from "../../src/core/ids.ts";
import type { Random } from "../../src/core/ports.ts";
import { call, type SiteProcess } from "./processes.ts";

export type Vault = { readonly vaultId: string; readonly token: string };

/** What can be read of an entry: its title, that it is in the trash, or nothing. */
export type EntryState = string | null;

const inTrash = "(in the trash)";

/**
 * What a client knows of its writes. An entry whose last call was answered has one possible state; one whose call was cut has
 * two, and is left alone from then on.
 */
export class Ledger {
  readonly #possible = new Map<string, readonly EntryState[]>();
  readonly #unexpected: string[] = [];
  acknowledged = 0;

  acknowledge(entryId: string, state: EntryState): void {
    this.#possible.set(entryId, [state]);
    this.acknowledged += 1;
  }

  cut(entryId: string, state: EntryState): void {
    this.#possible.set(entryId, [...(this.#possible.get(entryId) ?? [null]), state]);
  }

  /** An answer that no kill explains. */
  refuse(what: string): void {
    this.#unexpected.push(what);
  }

  /** Every way in which `entries` is not what was acknowledged; empty where nothing is lost and nothing came from nowhere. */
  disagreements(entries: ReadonlyMap<string, { readonly state: EntryState }>): readonly string[] {
    const wrong = [...this.#possible].flatMap(([entryId, possible]) => {
      const found = entries.get(entryId)?.state ?? null;
      return possible.includes(found) ? [] : [`${entryId}: ${found} instead of ${possible.join(" or ")}`];
    });
    const unknown = [...entries.keys()].filter((entryId) => !this.#possible.has(entryId));
    return [...this.#unexpected, ...wrong, ...unknown.map((entryId) => `${entryId}: written by nobody`)];
  }
}

/** Clients that write to one site without pause, each with entries of its own, and go on when the site goes away. */
export class Writers implements AsyncDisposable {
  readonly #ledger = new Ledger();
  readonly #site: SiteProcess;
  readonly #vault: Vault;
  readonly #random: Random;
  readonly #loops: readonly Promise<void>[];
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #isStopped = false;

  constructor(site: SiteProcess, vault: Vault, random: Random, count = 4) {
    this.#site = site;
    this.#vault = vault;
    this.#random = random;
    this.#loops = Array.from({ length: count }, () => this.#loop());
  }

  /** Resolves when so many more writes are acknowledged. */
  async acknowledged(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push({ count: this.#ledger.acknowledged + count, resolve });
    });
  }

  async stop(): Promise<Ledger> {
    this.#isStopped = true;
    await Promise.all(this.#loops);
    return this.#ledger;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #loop(): Promise<void> {
    const own: string[] = [];
    while (!this.#isStopped) {
      const entryId = this.#random.fraction() < 0.6 ? undefined : own.shift();
      const kept = entryId === undefined ? await this.#create() : await this.#change(entryId);
      if (kept !== undefined) own.push(kept);
    }
  }

  async #create(): Promise<string | undefined> {
    const entryId = newUuidV7(Date.now(), this.#random);
    const title = this.#title();
    const body = { entry_id: entryId, type: "login", title, tags: ["kill"] };
    return await this.#write(entryId, title, { method: "POST", path: "", body });
  }

  async #change(entryId: string): Promise<string | undefined> {
    const path = `/${entryId}`;
    const kind = this.#random.fraction();
    if (kind < 0.7) {
      const title = this.#title();
      return await this.#write(entryId, title, { method: "PATCH", path, body: { title } });
    }
    if (kind < 0.85) await this.#write(entryId, inTrash, { method: "DELETE", path });
    else await this.#write(entryId, null, { method: "DELETE", path: `${path}?purge=true` });
    return undefined;
  }

  #title(): string {
    return `t${Math.floor(this.#random.fraction() * 1e9)}`;
  }

  /** Returns the entry's id where it can be written to again. */
  async #write(
    entryId: string,
    state: EntryState,
    request: { readonly method: string; readonly path: string; readonly body?: unknown },
  ): Promise<string | undefined> {
    const path = `/api/vaults/${this.#vault.vaultId}/entries${request.path}`;
    try {
      const { status } = await call(this.#site, { ...request, path, token: this.#vault.token });
      if (status >= 200 && status < 300) {
        this.#ledger.acknowledge(entryId, state);
        this.#tell();
        return entryId;
      }
      this.#ledger.refuse(`${request.method} ${request.path}: HTTP ${status}`);
      return undefined;
    } catch {
      this.#ledger.cut(entryId, state);
      // The site is gone for as long as a restart takes; asking it in a tight loop would only slow that down.
      await delay(10);
      return undefined;
    }
  }

  #tell(): void {
    const due = this.#waiting.filter(({ count }) => count <= this.#ledger.acknowledged);
    this.#waiting = this.#waiting.filter(({ count }) => count > this.#ledger.acknowledged);
    for (const { resolve } of due) resolve();
  }
}

type Entries = ReadonlyMap<string, { readonly state: EntryState; readonly entry: unknown }>;

/** Every entry of a vault as a site shows it, but for what is the site's own. */
export async function readEntries(site: SiteProcess, vault: Vault): Promise<Entries> {
  const entries = new Map<string, { state: EntryState; entry: unknown }>();
  for (const trash of [false, true]) {
    let cursor: string | null = "";
    while (cursor !== null) {
      const from: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const path = `/api/vaults/${vault.vaultId}/entries?limit=500&trash=${trash}${from}`;
      const { status, body } = await call(site, { path, token: vault.token });
      if (status !== 200) throw new Error(`${site.site} answers ${status} to a list`);
      const page = body as Page;
      for (const { replication: _, ...entry } of page.entries) {
        entries.set(entry.entry_id, { state: trash ? inTrash : entry.title, entry });
      }
      cursor = page.next_cursor;
    }
  }
  return entries;
}

/** The ids of entries that two sites show differently, or only one of them shows. */
export function differences(here: Entries, there: Entries): readonly string[] {
  const ids = new Set([...here.keys(), ...there.keys()]);
  return [...ids].filter((id) => JSON.stringify(here.get(id)) !== JSON.stringify(there.get(id)));
}

type Page = {
  readonly entries: readonly {
    readonly entry_id: string;
    readonly title: string;
    readonly replication: unknown;
  }[];
  readonly next_cursor: string | null;
};
