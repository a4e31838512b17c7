import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { newSecretFile } from "./new-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-new-file-"));
});
afterEach(() => rm(folder, { recursive: true }));

it("a secret is kept in a new file of its owner's", async () => {
  const path = join(folder, "token");
  {
    await using file = await newSecretFile(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await file?.keep("hunter2");
  }
  expect(await readFile(path, "utf8")).toBe("hunter2\n");
  await expect(newSecretFile(path)).rejects.toThrow(/exists already/);
});

it("a file in which nothing was kept is gone", async () => {
  const path = join(folder, "token");
  {
    await using file = await newSecretFile(path);
    expect(file).toBeDefined();
  }
  await expect(stat(path)).rejects.toThrow(/ENOENT/);
});

it("without a path there is none; where none can be, that is said", async () => {
  expect(await newSecretFile(undefined)).toBeUndefined();
  await expect(newSecretFile(join(folder, "no", "token"))).rejects.toThrow(/cannot be written/);
});
