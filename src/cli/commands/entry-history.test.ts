import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { purgeEntry } from "./entry-history.ts";

let folder: string;
let server: Server;
let asked: { readonly url: string | undefined; readonly prefer: unknown }[];
let backups: Readonly<Record<string, boolean>> | undefined;
let printed: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-purge-"));
  await writeFile(join(folder, "token"), "dmv_x", { mode: 0o600 });
  asked = [];
  server = createServer(({ url, headers: { prefer } }, response) => {
    asked.push({ url, prefer });
    response.end(JSON.stringify({ purged: true, replication: { dirty: true, backups } }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  printed = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((printed += String(text)), true));
});
afterEach(async () => {
  vi.restoreAllMocks();
  server.close();
  await rm(folder, { recursive: true });
});

function purge(wait?: number): Promise<void> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const connection = { url, tokenFile: join(folder, "token"), vault: "v", yes: true };
  return purgeEntry("e", { ...connection, ...(wait !== undefined && { wait }) });
}

describe("a purge", () => {
  it("that is not to wait does not ask the site to", async () => {
    backups = undefined;
    await purge();
    expect(asked).toEqual([{ url: "/api/vaults/v/entries/e?purge=true", prefer: undefined }]);
    expect(printed).toBe("Purged e.\n");
  });

  it("ends well when every backup has proved it", async () => {
    backups = { zurich: true, bern: true };
    await purge(5);
    expect(asked[0]?.prefer).toBe("wait=5");
  });

  it("says which backups have not proved it in time, and that it is done here", async () => {
    backups = { zurich: false, bern: true, basel: false };
    await expect(purge(5)).rejects.toMatchObject({
      code: "not_proved",
      message: "it is purged here, but within 5 s there was no proof of it from zurich, basel",
    });
    expect(printed).toBe("Purged e.\n");
  });
});
