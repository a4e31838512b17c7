import { parseStranded, type Stranded } from "../core/aside.ts";
import { fromUtf8 } from "../core/bytes.ts";
import type { AdminCommand, Alerts } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import { parseVersionId, type StrandedId } from "../core/ids.ts";
import { comparePositions, formatPosition } from "../core/position.ts";
import { formatKey, isLive, type LiveRow, type Row, type RowKey } from "../core/row.ts";
import type { Write } from "../core/store/rows.ts";
import type { Transacts } from "../core/store/store.ts";
import { readSealedHeader } from "../core/sealed-header.ts";
import { discardStranded, type EntryState, noEntryState, reapplyStranded } from "../core/stranded.ts";
import {
  strandedFields,
  type StrandedItem,
  type StrandedList,
  type StrandedSettled,
  type StrandedShown,
} from "../protocol/admin-requests.ts";
import { check } from "../protocol/check.ts";
import { tellStranded } from "./stranded-notice.ts";

export type StrandedPorts = {
  readonly store: Transacts<"aside" | "rows">;
  readonly alerts: Alerts;
  readonly workers: { readonly signal: () => void };
};

/** A stranded row as the store has it, and what it keeps; undefined where that cannot be read. */
type Opened = {
  readonly id: StrandedId;
  readonly stranded: LiveRow;
  readonly kept: Stranded | undefined;
};

/** Rows read at a time. */
const pageRows = 500;

export function strandedCommand(ports: StrandedPorts): AdminCommand {
  return {
    name: "stranded",
    handle: async ({ body, signal }) => {
      const request = check(strandedFields, body);
      switch (request.action) {
        case "list":
          return list(ports);
        case "show":
          return show(ports, request.id);
        case "reapply":
        case "discard":
          return settle(ports, request.action, await chosen(ports, request), signal);
      }
    },
  };
}

/** Every stranded row, in the order in which the rows were written. */
async function list({ store }: StrandedPorts): Promise<StrandedList> {
  return { stranded: (await openAll(store)).map(itemOf) };
}

async function show({ store }: StrandedPorts, id: string): Promise<StrandedShown> {
  const opened = await openOne(store, id);
  return { ...itemOf(opened), content: contentOf(opened) };
}

async function chosen(
  { store }: StrandedPorts,
  { id, all }: { readonly id?: string | undefined; readonly all: boolean },
): Promise<readonly Opened[]> {
  if (all === (id !== undefined)) {
    const message = "name one row by `id`, or all of them by `all`";
    throw new Refusal("invalid_request", undefined, [{ path: "id", message }]);
  }
  return id === undefined ? openAll(store) : [await openOne(store, id)];
}

/**
 * Settles rows one by one, each as a change of its own. One row's refusal is the answer; of many, those that are refused are
 * named and stay.
 */
async function settle(
  { store, alerts, workers }: StrandedPorts,
  action: "reapply" | "discard",
  rows: readonly Opened[],
  signal: AbortSignal,
): Promise<StrandedSettled> {
  const refused: { id: string; code: string }[] = [];
  let settled = 0;
  for (const opened of action === "reapply" ? rows.toSorted(byDependence) : rows) {
    if (signal.aborted) break;
    try {
      await settleOne(store, action, opened);
      settled += 1;
    } catch (error) {
      const isOfRow = error instanceof Refusal && settledElsewhere.has(error.code);
      if (!isOfRow || rows.length === 1) throw error;
      refused.push({ id: opened.id, code: error.code });
    }
  }
  workers.signal();
  await tellStranded({ store, alerts });
  return { action, settled, refused, left: (await store.read((r) => r.aside.stranded(null, 1))).total };
}

/** A version is one of an entry that must be there first; of each kind, the order stays. */
function byDependence(a: Opened, b: Opened): number {
  const isVersion = ({ kept }: Opened): number => (kept?.row.key.kind === "version" ? 1 : 0);
  return isVersion(a) - isVersion(b);
}

const settledElsewhere: ReadonlySet<string> = new Set([
  "reapply_refused",
  "stranded_unknown",
  "stranded_unreadable",
]);

/** How often a reapplication is decided anew where a client changes the entry meanwhile. */
const attemptsMax = 5;

async function settleOne(
  store: Transacts<"rows">,
  action: "reapply" | "discard",
  opened: Opened,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const write = await writeOf(store, action, opened);
      await store.transact((tx) => tx.rows.write(write));
      return;
    } catch (error) {
      const isRaced = error instanceof Refusal && error.code === "write_raced";
      if (!isRaced || attempt === attemptsMax) throw error;
    }
  }
}

async function writeOf(
  store: Transacts<"rows">,
  action: "reapply" | "discard",
  opened: Opened,
): Promise<Write> {
  const { stranded, kept } = opened;
  const { key } = stranded;
  if (key.kind !== "stranded") throw new Error("a stranded row has a key of another kind");
  if (action === "discard") return discardStranded([key]);
  if (!kept) throw new Refusal("stranded_unreadable");
  return reapplyStranded(key, kept.row.key, await entryStateOf(store, kept.row.key));
}

/** More versions than a site keeps. */
const versionsMax = 1_000;

async function entryStateOf(store: Transacts<"rows">, key: RowKey): Promise<EntryState> {
  if (key.kind !== "entry") return noEntryState;
  const row = await store.read((r) => r.rows.row(key));
  const versions = await store.read((r) => r.rows.versions(key.vaultId, key.entryId, undefined, versionsMax));
  return {
    position: row?.position ?? null,
    versions: versions.flatMap(({ key: of }) =>
      of.kind === "version" ? parseVersionId(of.versionId).version : [],
    ),
  };
}

async function openAll(store: Transacts<"aside">): Promise<readonly Opened[]> {
  const opened: Opened[] = [];
  for (let after: StrandedId | null = null; ; ) {
    const { rows } = await store.read((r) => r.aside.stranded(after, pageRows));
    for (const row of rows) if (isLive(row)) opened.push(open(row));
    const last = opened.at(-1);
    if (!last || rows.length < pageRows) break;
    after = last.id;
  }
  // In this order a later state of a row is reapplied after the one that it was built on.
  return opened.toSorted((a, b) => comparePositions(shownOf(a).position, shownOf(b).position));
}

/** @throws Refusal `stranded_unknown` */
async function openOne(store: Transacts<"aside">, id: string): Promise<Opened> {
  const row = await store.read((r) => r.aside.strandedById(id as StrandedId));
  if (!row || !isLive(row)) throw new Refusal("stranded_unknown");
  return open(row);
}

function open(stranded: LiveRow): Opened {
  const { key } = stranded;
  if (key.kind !== "stranded") throw new Error("a stranded row has a key of another kind");
  return { id: key.strandedId, stranded, kept: parseStranded(stranded.body) };
}

/** The row that is told of: the one that is kept, or where that cannot be read the stranded row itself. */
function shownOf({ stranded, kept }: Opened): Row {
  return kept?.row ?? stranded;
}

function itemOf(opened: Opened): StrandedItem {
  const { id, kept } = opened;
  const { key, position, body } = shownOf(opened);
  return {
    id,
    kind: key.kind,
    key: formatKey(key),
    position: formatPosition(position),
    from: kept?.site ?? null,
    at: kept ? new Date(kept.at).toISOString() : null,
    deleted: body === null,
  };
}

/** What is sealed cannot be seen here; nor is what opens and proves anything, which is nobody's to read. */
function contentOf({ stranded, kept }: Opened): unknown {
  if (!kept) return `${stranded.body.length} bytes that cannot be read`;
  const { key, body } = kept.row;
  if (body === null) return null;
  const header = key.kind === "entry" || key.kind === "version" ? readSealedHeader(body) : undefined;
  if (header) return { version: header.version, key_id: header.keyId, sealed_bytes: body.length };
  try {
    const content: unknown = JSON.parse(fromUtf8(body));
    if (typeof content !== "object" || content === null) return content;
    return Object.fromEntries(Object.entries(content).filter(([name]) => !hidden.has(name)));
  } catch {
    return `${body.length} bytes that are no text`;
  }
}

/** Of an access: what it is checked and opened by. Of a vault: its older keys, sealed. */
const hidden: ReadonlySet<string> = new Set([
  "verifier",
  "public_key",
  "slot",
  "mac",
  "passphrase",
  "older",
  "links",
]);
