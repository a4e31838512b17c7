import { describe, expect, it } from "vitest";
import { type EntryContent, decodeEntry, encodeEntry, type Entry } from "./entry.ts";
import {
  changeEntry,
  createEntry,
  encodeNewEntry,
  entryKey,
  importEntries,
  purgeEntry,
  restoreEntry,
  trashEntry,
} from "./entry-writes.ts";
import { type ErrorCode, Refusal } from "./errors.ts";
import type { EntryId, VaultId } from "./ids.ts";
import type { RowKey, StoredRow } from "./row.ts";
import type { Write } from "./store.ts";
import { encodeVault, vaultKey } from "./vault.ts";

const vaultId = "0190a000-0000-7000-8000-000000000001" as VaultId;
const entryId = "0190a000-0000-7000-8000-000000000002" as EntryId;
const otherId = "0190a000-0000-7000-8000-000000000003" as EntryId;
const content: EntryContent = {
  type: "note",
  title: "a",
  urls: [],
  tags: [],
  favourite: false,
  fields: [],
  notes: "",
};
const stored: Entry = { content, version: 4, createdAt: 10, updatedAt: 20, trashedAt: null };

function row(key: RowKey, body: Uint8Array | null, seq = 1): StoredRow {
  const local = { dirty: false, dirtySince: null, replicatedAt: null };
  return { key, position: { epoch: 1, seq }, hash: new Uint8Array(32), body, ...local };
}

const vault = row(vaultKey(vaultId), encodeVault({ name: "v", createdAt: 0, updatedAt: 0 }));
const deletedVault = row(vaultKey(vaultId), null);
const key = entryKey({ vaultId, entryId });
const present = row(key, encodeEntry(stored), 7);
const trashed = row(key, encodeEntry({ ...stored, trashedAt: 15 }), 7);
const purged = row(key, null, 7);
const edit = { vaultId, entryId, match: undefined, now: 99 };

/** What a write leaves of the entry: the entry, a tombstone, or undefined where it changes nothing. */
function outcome(write: Write, ...current: (StoredRow | undefined)[]): Entry | "tombstone" | undefined {
  const [change] = write.decide(current);
  if (change === undefined) return undefined;
  return change.body === null ? "tombstone" : decodeEntry(change.body);
}

function codeOf(write: Write, ...current: (StoredRow | undefined)[]): ErrorCode | undefined {
  try {
    write.decide(current);
    return undefined;
  } catch (error) {
    return error instanceof Refusal ? error.code : "internal";
  }
}

describe("creating", () => {
  const creation = createEntry(vaultId, { entryId, body: encodeNewEntry(content, 99) });

  it("starts an entry at version 1", () => {
    expect(outcome(creation, vault, undefined)).toEqual({
      content,
      version: 1,
      createdAt: 99,
      updatedAt: 99,
      trashedAt: null,
    });
  });

  it("again with the same content changes nothing, even after the entry has been edited back or trashed", () => {
    expect(outcome(creation, vault, present)).toBeUndefined();
    expect(outcome(creation, vault, trashed)).toBeUndefined();
  });

  it("over other content is refused", () => {
    const other = createEntry(vaultId, { entryId, body: encodeNewEntry({ ...content, notes: "n" }, 99) });
    expect(codeOf(other, vault, present)).toBe("entry_exists");
  });

  it("under an id that was purged is refused: what is purged never comes back", () => {
    expect(codeOf(creation, vault, purged)).toBe("entry_exists");
  });

  it("in a vault that is deleted or never was is refused", () => {
    expect(codeOf(creation, deletedVault, undefined)).toBe("vault_unknown");
    expect(codeOf(creation, undefined, undefined)).toBe("vault_unknown");
  });

  it("over 256 KiB is refused, at 256 KiB it is not", () => {
    const empty = encodeNewEntry({ ...content, notes: "" }, 1).length;
    const kept = JSON.stringify({ version: 1, created_at: 1, updated_at: 1, trashed_at: null }).length - 1;
    const room = 256 * 1024 - (empty - kept);
    expect(() => encodeNewEntry({ ...content, notes: "x".repeat(room) }, 1)).not.toThrow();
    expect(() => encodeNewEntry({ ...content, notes: "x".repeat(room + 1) }, 1)).toThrow(Refusal);
  });
});

describe("an import", () => {
  const entries = [
    { entryId, body: encodeNewEntry(content, 99) },
    { entryId: otherId, body: encodeNewEntry({ ...content, title: "b" }, 99) },
  ];

  it("creates what is not there and keeps what is there already", () => {
    expect(importEntries(vaultId, entries).decide([vault, undefined, undefined])).toHaveLength(2);
    expect(
      importEntries(vaultId, entries)
        .decide([vault, present, undefined])
        .map((change) => change.key),
    ).toEqual([entryKey({ vaultId, entryId: otherId })]);
  });

  it("names every entry that it cannot create, and creates none", () => {
    const write = importEntries(vaultId, entries);
    const other = row(entryKey({ vaultId, entryId: otherId }), encodeEntry(stored));
    expect(() => write.decide([vault, purged, other])).toThrow(
      expect.objectContaining({
        code: "entry_exists",
        mistakes: [
          { path: "entries[0].entry_id", message: expect.stringContaining("purged") },
          { path: "entries[1].entry_id", message: expect.stringContaining("other content") },
        ],
      }),
    );
  });
});

describe("a change", () => {
  const retitle = changeEntry(edit, (before) => ({ ...before, title: "b" }));

  it("raises the version and keeps when the entry was created", () => {
    expect(outcome(retitle, vault, present)).toEqual({
      content: { ...content, title: "b" },
      version: 5,
      createdAt: 10,
      updatedAt: 99,
      trashedAt: null,
    });
  });

  it("to what the entry is already changes nothing", () => {
    expect(
      outcome(
        changeEntry(edit, () => content),
        vault,
        present,
      ),
    ).toBeUndefined();
  });

  it("of an entry in the trash, that is purged or never was is refused", () => {
    expect(codeOf(retitle, vault, trashed)).toBe("entry_in_trash");
    expect(codeOf(retitle, vault, purged)).toBe("entry_unknown");
    expect(codeOf(retitle, vault, undefined)).toBe("entry_unknown");
  });

  it("beyond 256 KiB is refused", () => {
    const grow = changeEntry(edit, (before) => ({ ...before, notes: "x".repeat(256 * 1024) }));
    expect(codeOf(grow, vault, present)).toBe("body_too_large");
  });
});

describe("trash, restore and purge", () => {
  it("move an entry there and back, each a version of its own", () => {
    expect(outcome(trashEntry(edit), vault, present)).toMatchObject({ trashedAt: 99, version: 5 });
    expect(outcome(restoreEntry(edit), vault, trashed)).toMatchObject({ trashedAt: null, version: 5 });
  });

  it("change nothing where the entry is as asked", () => {
    expect(outcome(trashEntry(edit), vault, trashed)).toBeUndefined();
    expect(outcome(restoreEntry(edit), vault, present)).toBeUndefined();
  });

  it("leave a tombstone of a purged entry, from the trash or not", () => {
    expect(outcome(purgeEntry(edit), vault, present)).toBe("tombstone");
    expect(outcome(purgeEntry(edit), vault, trashed)).toBe("tombstone");
    expect(codeOf(purgeEntry(edit), vault, purged)).toBe("entry_unknown");
    expect(codeOf(restoreEntry(edit), vault, purged)).toBe("entry_unknown");
  });
});

describe("If-Match", () => {
  const writes = {
    change: (match: Parameters<typeof purgeEntry>[0]["match"]) =>
      changeEntry({ ...edit, match }, () => content),
    trash: (match: Parameters<typeof purgeEntry>[0]["match"]) => trashEntry({ ...edit, match }),
    restore: (match: Parameters<typeof purgeEntry>[0]["match"]) => restoreEntry({ ...edit, match }),
    purge: (match: Parameters<typeof purgeEntry>[0]["match"]) => purgeEntry({ ...edit, match }),
  };

  it.each(Object.entries(writes))("holds for %s", (_, write) => {
    expect(codeOf(write([{ epoch: 1, seq: 6 }]), vault, present)).toBe("stale_match");
    expect(codeOf(write([{ epoch: 2, seq: 7 }]), vault, present)).toBe("stale_match");
    expect(codeOf(write([]), vault, present)).toBe("stale_match");
    expect(
      codeOf(
        write([
          { epoch: 1, seq: 6 },
          { epoch: 1, seq: 7 },
        ]),
        vault,
        present,
      ),
    ).toBeUndefined();
    expect(codeOf(write("any"), vault, present)).toBeUndefined();
    expect(codeOf(write("any"), vault, purged)).toBe("entry_unknown");
  });
});

it("a decision made twice is the same decision", () => {
  const write = changeEntry(edit, (before) => ({ ...before, title: "b" }));
  expect(write.decide([vault, present])).toEqual(write.decide([vault, present]));
});
