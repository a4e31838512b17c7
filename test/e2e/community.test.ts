import { execFileSync } from "node:child_process";
import { cpSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { call, freePort, Sites } from "../support/processes.ts";

const root = resolve(import.meta.dirname, "../..");

/** A checkout without the commercial files, built. */
function copyCommunityPart(folder: string): string {
  const checkout = join(folder, "checkout");
  for (const part of ["bin", "build", "src", "package.json"]) {
    cpSync(join(root, part), join(checkout, part), { recursive: true });
  }
  for (const part of ["src/replication", "src/editions/commercial.ts"])
    rmSync(join(checkout, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(checkout, "node_modules"));
  execFileSync(process.execPath, ["build/run.ts"], { cwd: checkout });
  return join(checkout, "bin/dormouse");
}

describe("the community edition", () => {
  it("runs with the commercial files deleted: it loads none of them, has none of their routes and marks nothing", async () => {
    await using sites = await Sites.inTemporaryFolder();
    const site = await sites.init(
      { edition: "community", site: "calgary" },
      { port: await freePort(), role: "primary", command: copyCommunityPart(sites.folder) },
    );
    await site.start();
    const health = await call(site, { path: "/healthz" });
    expect(health.body).toMatchObject({
      status: "ok",
      site: "calgary",
      role: "primary",
      edition: "community",
    });
    const made = await call(site, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
    expect(made.status).toBe(201);
    expect((await call(site, { path: "/api/replication" })).status).toBe(404);
    expect((await call(site, { method: "POST", path: "/api/replication/apply", body: {} })).status).toBe(404);
  }, 60_000);
});
