import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sqliteSite } from "../../../test/support/sqlite-site.ts";
import { lockDataFolder } from "./folder-lock.ts";

const { folder } = sqliteSite();
const inUse = expect.objectContaining({ code: "data_in_use" });

/** A process that takes the lock, says what came of it, and holds it until its input ends. */
const program = `
  const { lockDataFolder } = await import(${JSON.stringify(new URL("./folder-lock.ts", import.meta.url).href)});
  try {
    lockDataFolder(process.argv[1]);
    console.log("locked");
    process.stdin.resume();
  } catch (error) {
    console.log(error.code);
  }
`;

async function lockElsewhere(path: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, path], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  return { child, said: said.toString().trim() };
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

describe("the lock of a data folder", () => {
  it("keeps out a second holder until the first lets go", () => {
    const path = folder();
    const first = lockDataFolder(path);
    expect(() => lockDataFolder(path)).toThrow(inUse);
    first[Symbol.dispose]();
    lockDataFolder(path)[Symbol.dispose]();
  });

  it("keeps out another process", async () => {
    const path = folder();
    using _lock = lockDataFolder(path);
    const { child, said } = await lockElsewhere(path);
    expect(said).toBe("data_in_use");
    await killed(child);
  });

  it("is not lost because somebody was refused it", async () => {
    const path = folder();
    using _lock = lockDataFolder(path);
    expect(() => lockDataFolder(path)).toThrow(inUse);
    const { child, said } = await lockElsewhere(path);
    expect(said).toBe("data_in_use");
    await killed(child);
  });

  it("dies with the process that held it, even when that is killed", async () => {
    const path = folder();
    const { child, said } = await lockElsewhere(path);
    expect(said).toBe("locked");
    expect(() => lockDataFolder(path)).toThrow(inUse);
    await killed(child);
    lockDataFolder(path)[Symbol.dispose]();
  });

  it("is a file that nobody else can read", () => {
    const path = folder();
    using _lock = lockDataFolder(path);
    expect(statSync(join(path, "site.lock")).mode & 0o777).toBe(0o600);
  });

  it("is refused for a folder that is not there", () => {
    expect(() => lockDataFolder(join(folder(), "none"))).toThrow(
      expect.objectContaining({ code: "data_missing" }),
    );
  });
});
