import Sqlite from "better-sqlite3";
import { bytesOf } from "../../src/store/sqlite/connection.ts";
import type { Row, RowKey } from "../../src/core/row.ts";

/** What no store would do or show: looks at and changes the bytes of a site's database as a machine's fault does. */

const tables = {
  vault: { name: "vaults", item: null },
  access: { name: "accesses", item: "access_id" },
  entry: { name: "entries", item: "entry_id" },
  stranded: { name: "stranded", item: "stranded_id" },
} as const;

/** Turns one bit of a row's body or of its stored hash; of a tombstone, always of the hash. Returns the changed database. */
export function flipBit(image: Buffer, key: RowKey, where: "body" | "hash", bit: number): Buffer {
  const database = new Sqlite(image);
  try {
    const { name, item } = tables[key.kind];
    const condition = item ? `vault_id = ? AND ${item} = ?` : "vault_id = ?";
    const ids = item ? [key.vaultId, itemOf(key)] : [key.vaultId];
    const found = database.prepare(`SELECT hash, body FROM ${name} WHERE ${condition}`).get(...ids);
    const { hash, body } = found as { hash: Buffer; body: Buffer | null };
    const column = where === "body" && body && body.length > 0 ? "body" : "hash";
    const flipped = Buffer.from(column === "body" && body ? body : hash);
    const at = bit % (8 * flipped.length);
    flipped.writeUInt8(flipped.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
    database.prepare(`UPDATE ${name} SET ${column} = ? WHERE ${condition}`).run(flipped, ...ids);
    return database.serialize();
  } finally {
    database.close();
  }
}

function itemOf(key: RowKey): string {
  if (key.kind === "access") return key.accessId;
  if (key.kind === "entry") return key.entryId;
  return key.kind === "stranded" ? key.strandedId : "";
}

type AsideRecord = {
  readonly kind: RowKey["kind"];
  readonly vault_id: string;
  readonly item_id: string;
  readonly epoch: number;
  readonly seq: number;
  readonly hash: Buffer;
  readonly body: Buffer | null;
};

/** Every row put aside, also those that the primary has taken. */
export function asideRows(image: Buffer): readonly Row[] {
  const database = new Sqlite(image, { readonly: true });
  try {
    const records = database.prepare("SELECT * FROM aside").all() as AsideRecord[];
    return records.map((record) => ({
      key: keyOf(record),
      position: { epoch: record.epoch, seq: record.seq },
      hash: bytesOf(record.hash),
      body: record.body && bytesOf(record.body),
    }));
  } finally {
    database.close();
  }
}

function keyOf({ kind, vault_id: vaultId, item_id: id }: AsideRecord): RowKey {
  switch (kind) {
    case "vault":
      return { kind, vaultId } as RowKey;
    case "access":
      return { kind, vaultId, accessId: id } as RowKey;
    case "entry":
      return { kind, vaultId, entryId: id } as RowKey;
    case "stranded":
      return { kind, vaultId, strandedId: id } as RowKey;
  }
}
