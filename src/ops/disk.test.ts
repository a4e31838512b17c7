import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { diskRoom, freeBytes } from "./disk.ts";

test("free bytes are those of the disk that holds the folder", async () => {
  const { bavail, bsize, blocks } = await statfs(tmpdir());
  const free = await freeBytes(tmpdir());
  // Others write to the same disk meanwhile.
  expect(Math.abs(free - bavail * bsize)).toBeLessThan(1e9);
  expect(free).toBeLessThanOrEqual(blocks * bsize);
});

test("a folder that is not made yet has the room of the disk it will be on", async () => {
  expect(await freeBytes(join(tmpdir(), "no", "such", "folder"))).toBeGreaterThan(0);
});

test("room is enough only at or above the least that is asked for", async () => {
  expect((await diskRoom(tmpdir(), 0)).isEnough).toBe(true);
  expect((await diskRoom(tmpdir(), Number.MAX_SAFE_INTEGER)).isEnough).toBe(false);
});
