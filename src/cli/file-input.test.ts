import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readPassphraseFile, readTextInput, readTokenFile } from "./file-input.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-input-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function fileOf(text: string | Uint8Array, mode = 0o600): Promise<string> {
  const path = join(folder, "file");
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

describe("a token file", () => {
  it("gives the token without the newline at its end", async () => {
    expect(await readTokenFile(await fileOf("dmv_abc\n", 0o400))).toBe("dmv_abc");
  });

  it.each([0o640, 0o604, 0o644, 0o620])("is refused when others can open it (%o)", async (mode) => {
    const path = await fileOf("dmv_abc", mode);
    await expect(readTokenFile(path)).rejects.toMatchObject({
      code: "file_exposed",
      message: `${path} can be read by others (mode 0${mode.toString(8)})`,
      remedy: `chmod 600 ${path}`,
    });
  });

  it.each(["", "dmv_a dmv_b", "dmv_a\ndmv_b\n", "dmv_\u0000"])(
    "is refused when it holds no one token: %j",
    async (text) => {
      await expect(readTokenFile(await fileOf(text))).rejects.toMatchObject({ code: "usage" });
    },
  );

  it("is a mistake of usage when it is missing or a folder", async () => {
    await expect(readTokenFile(join(folder, "none"))).rejects.toMatchObject({ code: "usage" });
    await expect(readTokenFile(folder)).rejects.toMatchObject({
      code: "usage",
      message: `${folder} is not a file`,
    });
  });
});

describe("an input file", () => {
  it("is refused when it is too large, not UTF-8, missing or a folder, each by name", async () => {
    await expect(readTextInput(await fileOf("12345"), 4)).rejects.toThrow(/larger than 4 bytes/);
    await expect(readTextInput(await fileOf(Buffer.from([0xff])), 4)).rejects.toThrow(/not UTF-8/);
    await expect(readTextInput(join(folder, "none"), 4)).rejects.toThrow(/there is no such file/);
    await expect(readTextInput(folder, 4)).rejects.toThrow(/it is a folder/);
  });
});

describe("a passphrase file", () => {
  it("gives the line without the spaces around it", async () => {
    expect(await readPassphraseFile(await fileOf("  gravel onion  tulip\r\n"))).toBe("gravel onion  tulip");
  });

  it("is refused when others can open it, and when it holds no line or several", async () => {
    await expect(readPassphraseFile(await fileOf("gravel", 0o644))).rejects.toMatchObject({
      code: "file_exposed",
    });
    for (const text of ["", " \n", "gravel\nonion\n"]) {
      await expect(readPassphraseFile(await fileOf(text))).rejects.toMatchObject({ code: "usage" });
    }
  });
});
