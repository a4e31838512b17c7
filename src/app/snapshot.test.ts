import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newVault, set } from "../../test/contract/store-harness.ts";
import type { SnapshotAnswer } from "../protocol/admin.ts";
import { lockDataFolder } from "../store/sqlite/folder-lock.ts";
import { openSqliteStore } from "../store/sqlite/open.ts";
import { databasePath } from "./data-folder.ts";
import { init } from "./init.ts";
import { createSnapshot, type SnapshotOptions } from "./snapshot.ts";
import { snapshotStopped } from "./snapshot-of-stopped.ts";
import { restoreSnapshot } from "./snapshot-restore.ts";
import { systemClock, systemHash, systemRandom } from "./system-ports.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-snapshot-"));
  await writeConfig("calgary", "calgary");
  await init({ configPath: path("calgary.yaml"), role: "primary" });
});
afterEach(() => rm(folder, { recursive: true }));

const path = (...names: string[]): string => join(folder, ...names);
const database = (): string => databasePath(path("calgary"));

async function writeConfig(file: string, site: string, data = `./${site}`): Promise<void> {
  await writeFile(path(`${file}.yaml`), `edition: community\nsite: ${site}\ndata: ${data}\n`);
}

function snapshot(to: string, options: Partial<SnapshotOptions> = {}): Promise<SnapshotAnswer> {
  return createSnapshot({
    database: database(),
    isRunning: false,
    path: to,
    diskFreeMinBytes: 0,
    progress: () => {},
    signal: new AbortController().signal,
    ...options,
  });
}

function restore(from: string, file = "calgary") {
  return restoreSnapshot({ configPath: path(`${file}.yaml`), path: from, progress: () => {} });
}

/** Writes one vault, and returns its key. */
async function writeVault(name: string) {
  const { store } = openSqliteStore({
    path: database(),
    clock: systemClock,
    random: systemRandom,
    hash: systemHash,
  });
  const key = newVault();
  await set(store, key, name);
  await store.close();
  return key;
}

/** Everything in a folder, with modes: what "nothing was changed" is measured by. */
async function tree(of = folder): Promise<string[]> {
  const names = (await readdir(of, { recursive: true })).filter((name) => !name.includes("site.lock"));
  const lines = names.map(async (name) => {
    const { mode, size } = await stat(join(of, name));
    return `${name} ${(mode & 0o777).toString(8)} ${size}`;
  });
  return (await Promise.all(lines)).toSorted();
}

describe("a snapshot", () => {
  it("is the owner's only, whatever the process's usual mode is, and is all that is left of its making", async () => {
    const umask = process.umask(0);
    await mkdir(path("backup"));
    const made = await snapshot(path("backup", "one")).finally(() => process.umask(umask));
    expect(await tree(path("backup"))).toEqual([`one 600 ${made.bytes}`]);
  });

  it("never takes the place of anything", async () => {
    await writeFile(path("precious"), "precious");
    await mkdir(path("folder"));
    for (const taken of ["precious", "folder", "calgary.yaml"]) {
      await expect(snapshot(path(taken))).rejects.toMatchObject({ code: "file_exists" });
    }
    expect(await readFile(path("precious"), "utf8")).toBe("precious");
  });

  it("does not take the place of what came while it was made", async () => {
    const to = path("one");
    const making = snapshot(to, { progress: () => void writeFile(to, "precious") });
    await expect(making).rejects.toMatchObject({ code: "file_exists" });
    expect(await readFile(to, "utf8")).toBe("precious");
    expect((await readdir(folder)).filter((name) => name.includes("partial"))).toEqual([]);
  });

  // sysfs takes no new file, not even from root.
  it.each(["/proc/self/fdinfo/one", "/sys/one", "calgary.yaml/one", "none/one"])(
    "where no file can be is refused: %s",
    async (to) => {
      const before = await tree();
      const whole = to.startsWith("/") ? to : path(to);
      await expect(snapshot(whole)).rejects.toMatchObject({
        code: "file_unusable",
        message: expect.stringContaining(whole),
      });
      expect(await tree()).toEqual(before);
    },
  );

  it("that would take the room that the site works in is refused before it is begun", async () => {
    const before = await tree();
    const crowded = snapshot(path("one"), { diskFreeMinBytes: Number.MAX_SAFE_INTEGER });
    await expect(crowded).rejects.toMatchObject({
      code: "disk_full",
      message: expect.stringContaining("one"),
    });
    expect(await tree()).toEqual(before);
  });

  it("that is given up leaves nothing", async () => {
    const before = await tree();
    const stop = new AbortController();
    const making = snapshot(path("one"), { progress: () => stop.abort(), signal: stop.signal });
    await expect(making).rejects.toMatchObject({ name: "AbortError" });
    expect(await tree()).toEqual(before);
  });

  it("of a site that does not run keeps it from starting meanwhile, and leaves its folder as it was", async () => {
    const before = await tree();
    const seen: unknown[] = [];
    const tryLock = (): void => {
      try {
        lockDataFolder(path("calgary"))[Symbol.dispose]();
      } catch (error) {
        seen.push(error);
      }
    };
    const configPath = path("calgary.yaml");
    const made = await snapshotStopped({ configPath, path: path("one"), progress: tryLock });
    expect(seen[0]).toMatchObject({ code: "data_in_use" });
    expect(await tree()).toEqual([...before, `one 600 ${made.bytes}`].toSorted());
    using lock = lockDataFolder(path("calgary"));
    const locked = snapshotStopped({ configPath, path: path("two"), progress: () => {} });
    await expect(locked).rejects.toMatchObject({ code: "data_in_use" });
    void lock;
  });

  it("of a folder without a site is refused", async () => {
    await writeConfig("empty", "calgary", "./empty");
    const configPath = path("empty.yaml");
    const none = () => snapshotStopped({ configPath, path: path("one"), progress: () => {} });
    await expect(none()).rejects.toMatchObject({ code: "data_missing" });
    await mkdir(path("empty"));
    await expect(none()).rejects.toMatchObject({ code: "data_missing" });
  });
});

describe("restoring", () => {
  it("makes the site of the moment of the snapshot, private and whole, and leaves the snapshot as it is", async () => {
    const kept = await writeVault("kept");
    const { position, bytes } = await snapshot(path("one"));
    const later = await writeVault("later");
    await rm(path("calgary"), { recursive: true });
    await chmod(path("one"), 0o644);
    expect(await restore(path("one"))).toMatchObject({ site: "calgary", role: "primary", position });
    expect(await tree(path("calgary"))).toEqual([`dormouse.db 600 ${bytes}`]);
    expect(((await stat(path("calgary"))).mode & 0o777).toString(8)).toBe("700");
    const { store } = openSqliteStore({
      path: database(),
      clock: systemClock,
      random: systemRandom,
      hash: systemHash,
    });
    expect(Buffer.from((await store.read((r) => r.rows.row(kept)))?.body ?? []).toString()).toBe("kept");
    expect(await store.read((r) => r.rows.row(later))).toBeUndefined();
    await store.close();
    expect((await stat(path("one"))).size).toBe(bytes);
  });

  it("refuses a folder that holds a site, or anything else, and one that is in use", async () => {
    await snapshot(path("one"));
    const before = await tree();
    await expect(restore(path("one"))).rejects.toMatchObject({ code: "data_exists" });
    await rename(database(), path("calgary", "old.db"));
    await expect(restore(path("one"))).rejects.toMatchObject({ code: "data_exists" });
    await rename(path("calgary", "old.db"), database());
    expect(await tree()).toEqual(before);
    await rm(database());
    using lock = lockDataFolder(path("calgary"));
    await expect(restore(path("one"))).rejects.toMatchObject({ code: "data_in_use" });
    void lock;
  });

  it("takes a folder in which a killed site has left its lock and its socket", async () => {
    await snapshot(path("one"));
    await rm(database());
    await link(path("one"), path("calgary", "admin.sock"));
    expect(await restore(path("one"))).toMatchObject({ site: "calgary" });
  });

  it("refuses what is no snapshot of this site, and makes nothing", async () => {
    await snapshot(path("one"));
    await writeConfig("zurich", "zurich");
    await writeFile(path("damaged"), (await readFile(path("one"))).subarray(0, 50_000));
    const before = await tree();
    const cases = [
      [path("one"), "data_of_other_site"],
      [path("damaged"), "snapshot_invalid"],
      [path("calgary.yaml"), "snapshot_invalid"],
      [path("none"), "file_unusable"],
      [path("calgary"), "file_unusable"],
    ] as const;
    for (const [file, code] of cases) {
      await expect(restore(file, "zurich")).rejects.toMatchObject({
        code,
        message: expect.stringContaining(file),
      });
    }
    expect(await tree()).toEqual(before);
  });
});
