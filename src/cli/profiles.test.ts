import { chmod, mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  changeProfiles,
  forgetHighestPosition,
  isProfileName,
  profileNamed,
  type Profiles,
  readHighestPosition,
  readProfiles,
  sessionFolder,
  writeHighestPosition,
} from "./profiles.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-profiles-"));
  vi.stubEnv("XDG_CONFIG_HOME", folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const team = {
  name: "team",
  url: "https://calgary.example/",
  tokenFile: "/secrets/team.token",
  insecureHttp: false,
};
const ops = { ...team, name: "ops", url: "http://10.0.0.1:8200/", insecureHttp: true };
const saved: Profiles = { usual: "team", profiles: [team, ops] };
const write = (profiles: Profiles) => changeProfiles(() => profiles);
const modeOf = async (...path: string[]) => (await stat(join(folder, ...path))).mode & 0o777;

describe("profiles", () => {
  it("are none where nothing was saved, and nothing is made by reading", async () => {
    expect(await readProfiles()).toEqual({ usual: undefined, profiles: [] });
    await expect(stat(join(folder, "dormouse"))).rejects.toThrow(/ENOENT/);
  });

  it("come back as they were saved, from a file and a folder that nobody else can read", async () => {
    await write(saved);
    expect(await readProfiles()).toEqual(saved);
    expect([await modeOf("dormouse"), await modeOf("dormouse", "profiles.json")]).toEqual([0o700, 0o600]);
    await chmod(join(folder, "dormouse"), 0o755);
    await write({ usual: undefined, profiles: [] });
    expect(await readProfiles()).toEqual({ usual: undefined, profiles: [] });
    expect(await modeOf("dormouse")).toBe(0o700);
  });

  it("that are changed at the same time keep every change, also beside a lock that a killed command has left", async () => {
    await write({ usual: undefined, profiles: [] });
    const lock = join(folder, "dormouse", "profiles.json.lock");
    await writeFile(lock, "");
    const longAgo = Date.now() / 1_000 - 60;
    await utimes(lock, longAgo, longAgo);
    const names = ["a", "b", "c", "d", "e", "f"];
    const add = (name: string) =>
      changeProfiles(({ usual, profiles }) => ({ usual, profiles: [...profiles, { ...team, name }] }));
    await Promise.all(names.map(add));
    expect((await readProfiles()).profiles.map(({ name }) => name).toSorted()).toEqual(names);
    await expect(stat(lock)).rejects.toThrow(/ENOENT/);
  });

  it("that others could have written are refused: they say where tokens go", async () => {
    await write(saved);
    await chmod(join(folder, "dormouse", "profiles.json"), 0o622);
    await expect(readProfiles()).rejects.toMatchObject({ code: "file_exposed" });
  });

  it.each([
    "",
    "[]",
    "{}",
    `{"profiles":[]}`,
    `{"profiles":{"a":5}}`,
    `{"profiles":{"../a":{"url":"x","token_file":"y"}}}`,
    `{"profiles":{"a":{"url":"x"}}}`,
  ])("that cannot be read from %j are refused", async (text) => {
    await write(saved);
    await writeFile(join(folder, "dormouse", "profiles.json"), text);
    await expect(readProfiles()).rejects.toMatchObject({ code: "config_invalid" });
  });

  it("are found by name, or said to be unknown", () => {
    expect(profileNamed(saved, "team")).toEqual(team);
    expect(() => profileNamed(saved, "family")).toThrow(/no such profile/);
  });

  it("have names that are safe as names of files", () => {
    for (const name of ["team", "a", "0-9_x"]) expect(isProfileName(name)).toBe(true);
    for (const name of ["", "..", ".a", "A", "a/b", "a b", "-a", "ä", "x".repeat(64)])
      expect(isProfileName(name)).toBe(false);
  });
});

it("the highest position is kept for each profile until it is forgotten", async () => {
  expect(await readHighestPosition("team")).toBeUndefined();
  await writeHighestPosition("team", "1:52");
  expect(await readHighestPosition("team")).toEqual({ epoch: 1, seq: 52 });
  expect(await readHighestPosition("ops")).toBeUndefined();
  expect(await readFile(join(folder, "dormouse", "positions", "team"), "utf8")).toBe("1:52\n");
  await forgetHighestPosition("team");
  expect(await readHighestPosition("team")).toBeUndefined();
});

it("the folder for sessions is the person's own", async () => {
  expect(await sessionFolder()).toBe(join(folder, "dormouse", "sessions"));
  expect(await modeOf("dormouse", "sessions")).toBe(0o700);
});
