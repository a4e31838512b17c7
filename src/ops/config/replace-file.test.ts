import { chmod, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { replaceFile, writeSecretFile } from "./replace-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-replace-"));
});
afterEach(() => rm(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const modeOf = async (name: string) => (await stat(at(name))).mode & 0o7777;

describe("replacing a file", () => {
  it("keeps its mode, is a file of its own, and leaves nothing beside it", async () => {
    await writeFile(at("site.yaml"), "before");
    await chmod(at("site.yaml"), 0o640);
    const { ino } = await stat(at("site.yaml"));
    await replaceFile(at("site.yaml"), "after");
    expect(await readFile(at("site.yaml"), "utf8")).toBe("after");
    expect(await modeOf("site.yaml")).toBe(0o640);
    expect((await stat(at("site.yaml"))).ino).not.toBe(ino);
    expect(await readdir(folder)).toEqual(["site.yaml"]);
  });

  it("behind a link replaces what the link leads to", async () => {
    await writeFile(at("real.yaml"), "before");
    await symlink("real.yaml", at("site.yaml"));
    await replaceFile(at("site.yaml"), "after");
    expect(await readlink(at("site.yaml"))).toBe("real.yaml");
    expect(await readFile(at("real.yaml"), "utf8")).toBe("after");
  });

  it("that is not there is refused by name", async () => {
    await expect(replaceFile(at("none.yaml"), "x")).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringMatching(/none\.yaml cannot be written \(ENOENT\)/) as string,
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("a file with a secret", () => {
  it("is made readable for its owner alone, and stays so when it is replaced", async () => {
    await writeSecretFile(at("pair.token"), "one");
    expect(await modeOf("pair.token")).toBe(0o600);
    await writeSecretFile(at("pair.token"), "two");
    expect(await readFile(at("pair.token"), "utf8")).toBe("two");
    expect(await modeOf("pair.token")).toBe(0o600);
    expect(await readdir(folder)).toEqual(["pair.token"]);
  });
});
