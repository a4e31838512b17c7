import { describe, expect, it } from "vitest";
import { PlainSeal } from "../../test/support/plain-seal.ts";
import { contentBytes, type Entry, type EntryContent } from "./entry.ts";
import {
  changeEntry,
  createEntry,
  entryKey,
  importEntries,
  newEntry,
  purgeEntry,
  restoreEntry,
  restoreVersion,
  trashEntry,
  versionKey,
} from "./entry-writes.ts";
import { type ErrorCode, Refusal } from "./errors.ts";
import type { EntryId, KeyId, VaultId } from "./ids.ts";
import type { RowKey, StoredRow } from "./row.ts";
import type { Write } from "./store/rows.ts";
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

const keyId = "aa".repeat(16) as KeyId;
const otherKeyId = "bb".repeat(16) as KeyId;
const seal = new PlainSeal(vaultId, keyId);
const vaultBody = { name: "v", createdAt: 0, updatedAt: 0, keyId, older: [], links: [] };
const vault = row(vaultKey(vaultId), encodeVault(vaultBody));
const rotatedVault = row(vaultKey(vaultId), encodeVault({ ...vaultBody, keyId: otherKeyId }));
const deletedVault = row(vaultKey(vaultId), null);
const key = entryKey({ vaultId, entryId });
const present = row(key, seal.seal(entryId, stored), 7);
const trashed = row(key, seal.seal(entryId, { ...stored, trashedAt: 15 }), 7);
const purged = row(key, null, 7);
const history = { keepVersions: 3, expiring: [] };
const edit = { seal, entryId, match: undefined, now: 99, history };
const purge = { vaultId, entryId, match: undefined, position: present.position, versions: [] };

function encodeNew(of: EntryContent, id = entryId): Uint8Array {
  return seal.seal(id, newEntry(of, 99));
}

/** What a write leaves of the entry: the entry, a tombstone, or undefined where it changes nothing. */
function outcome(write: Write, ...current: (StoredRow | undefined)[]): Entry | "tombstone" | undefined {
  const change = write.decide(current).find((each) => each.key.kind === "entry");
  if (change === undefined) return undefined;
  return change.body === null ? "tombstone" : seal.open(entryId, change.body);
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
  const creation = createEntry(seal, { entryId, body: encodeNew(content) });

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
    const other = createEntry(seal, { entryId, body: encodeNew({ ...content, notes: "n" }) });
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
    const room = 256 * 1024 - contentBytes({ ...content, notes: "" });
    expect(() => newEntry({ ...content, notes: "x".repeat(room) }, 1)).not.toThrow();
    expect(() => newEntry({ ...content, notes: "x".repeat(room + 1) }, 1)).toThrow(Refusal);
  });
});

describe("an import", () => {
  const entries = [
    { entryId, body: encodeNew(content) },
    { entryId: otherId, body: encodeNew({ ...content, title: "b" }, otherId) },
  ];

  it("creates what is not there and keeps what is there already", () => {
    expect(importEntries(seal, entries).decide([vault, undefined, undefined])).toHaveLength(2);
    expect(
      importEntries(seal, entries)
        .decide([vault, present, undefined])
        .map((change) => change.key),
    ).toEqual([entryKey({ vaultId, entryId: otherId })]);
  });

  it("names every entry that it cannot create, and creates none", () => {
    const write = importEntries(seal, entries);
    const other = row(entryKey({ vaultId, entryId: otherId }), seal.seal(otherId, stored));
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
    expect(outcome(purgeEntry(purge), vault, present)).toBe("tombstone");
    expect(outcome(purgeEntry(purge), vault, trashed)).toBe("tombstone");
    expect(codeOf(purgeEntry(purge), vault, purged)).toBe("entry_unknown");
    expect(codeOf(restoreEntry(edit), vault, purged)).toBe("entry_unknown");
  });
});

describe("If-Match", () => {
  const writes = {
    change: (match: Parameters<typeof purgeEntry>[0]["match"]) =>
      changeEntry({ ...edit, match }, () => content),
    trash: (match: Parameters<typeof purgeEntry>[0]["match"]) => trashEntry({ ...edit, match }),
    restore: (match: Parameters<typeof purgeEntry>[0]["match"]) => restoreEntry({ ...edit, match }),
    purge: (match: Parameters<typeof purgeEntry>[0]["match"]) => purgeEntry({ ...purge, match }),
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

describe("the history", () => {
  const retitle = (keepVersions: number, expiring: readonly number[] = []) =>
    changeEntry({ ...edit, history: { keepVersions, expiring } }, (before) => ({ ...before, title: "b" }));
  const version = (number: number, entry = stored) =>
    row(versionKey({ vaultId, entryId }, number), seal.seal(entryId, { ...entry, version: number }));
  const tombstone = (number: number) => ({ key: versionKey({ vaultId, entryId }, number), body: null });

  it("gets the state that an edit replaces, as it was sealed and in front of the new one", () => {
    const changes = retitle(3).decide([vault, present]);
    expect(changes.map((change) => change.key)).toEqual([versionKey({ vaultId, entryId }, 4), key]);
    expect(changes[0]?.body).toEqual(present.body);
  });

  it("keeps the newest versions and no others, behind the edit", () => {
    const changes = retitle(2, [1, 2, 3]).decide([vault, present, undefined, version(2), version(3)]);
    expect(changes.slice(2)).toEqual([tombstone(2)]);
    expect(retitle(0, [3]).decide([vault, present, version(3)])).toEqual([
      expect.objectContaining({ key }),
      tombstone(3),
    ]);
  });

  it("can be gone back to, under a version of its own; what the entry holds already changes nothing", () => {
    const old = version(2, { ...stored, content: { ...content, title: "old" } });
    expect(outcome(restoreVersion(edit, 2), vault, present, old)).toMatchObject({
      content: { ...content, title: "old" },
      version: 5,
    });
    expect(outcome(restoreVersion(edit, 2), vault, present, version(2))).toBeUndefined();
    expect(outcome(restoreVersion(edit, 2), vault, trashed, version(2))).toMatchObject({ trashedAt: null });
    expect(codeOf(restoreVersion(edit, 2), vault, present, undefined)).toBe("version_unknown");
  });

  it("is purged with its entry, as it was found, and not where an edit has come between", () => {
    const write = purgeEntry({ ...purge, versions: [1, 3] });
    expect(write.decide([vault, present, undefined, version(3)])).toEqual([
      tombstone(3),
      { key, body: null },
    ]);
    const edited = { ...present, position: { epoch: 1, seq: 8 } };
    expect(codeOf(write, vault, edited, undefined, version(3))).toBe("write_raced");
  });
});

it("a vault whose key was changed since it was opened is written to by nobody", () => {
  const writes = [
    createEntry(seal, { entryId, body: encodeNew(content) }),
    changeEntry(edit, (before) => ({ ...before, title: "b" })),
    trashEntry(edit),
    restoreVersion(edit, 2),
  ];
  for (const write of writes) expect(codeOf(write, rotatedVault, present)).toBe("write_raced");
});

it("a decision made twice is the same decision", () => {
  const write = changeEntry(edit, (before) => ({ ...before, title: "b" }));
  expect(write.decide([vault, present])).toEqual(write.decide([vault, present]));
});
