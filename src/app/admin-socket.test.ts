import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { askAdmin, command, openAdminServer } from "../../test/support/admin-socket.ts";
import { openSocketPath } from "./admin-socket.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-path-"));
});
afterEach(() => rm(folder, { recursive: true }));

const echo = command("echo", async () => ({ here: true }));

it.each([1, 8])(
  "a site is reached through its socket however long the path of its data folder is",
  async (depth) => {
    const data = join(folder, ...Array.from({ length: depth }, () => "a-name-of-thirty-characters-or"));
    await mkdir(data, { recursive: true });
    {
      using listening = openSocketPath(data);
      await using server = await openAdminServer(listening.path, [echo]);
      expect((await stat(join(data, "admin.sock"))).mode & 0o777).toBe(0o600);
      using connecting = openSocketPath(data);
      expect((await askAdmin(connecting.path, "/admin/echo")).lines).toEqual([{ result: { here: true } }]);
      void server;
    }
    await expect(stat(join(data, "admin.sock"))).rejects.toThrow("ENOENT");
  },
);

it("a long path that leads nowhere is told as a folder that is not there", () => {
  expect(() => openSocketPath(join(folder, "x".repeat(120)))).toThrow(
    expect.objectContaining({ code: "data_missing" }),
  );
});
