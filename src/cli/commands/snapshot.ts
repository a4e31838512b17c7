import { resolve } from "node:path";
import type { Command } from "commander";
import type { RestoredSite } from "../../app/snapshot-restore.ts";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions, configPathOf } from "../config-option.ts";
import { cell, type Fields } from "../fields.ts";
import { printJson, printLine, printNote, printPairs } from "../output.ts";
import { progressLine } from "../progress.ts";
import { UnreachableRefusal } from "../site-client.ts";

export function defineSnapshot(snapshot: Command): void {
  snapshot.addHelpText("after", createExamples + restoreExamples.replace("\nExamples:\n", ""));
  addAdminOptions(snapshot.command("create"))
    .argument("<file>", "the new file, on the site's machine")
    .description("write a checked copy of everything the site holds, also while it works")
    .addHelpText("after", createExamples)
    .action(createSnapshot);
  addAdminOptions(snapshot.command("restore"))
    .argument("<file>", "what dormouse snapshot create has written")
    .description("make the data folder that the configuration names from a snapshot")
    .addHelpText("after", restoreExamples)
    .action(restoreSnapshot);
}

const createExamples = `
Examples:
  dormouse snapshot create /backup/calgary.snapshot --config calgary.yaml
  dormouse snapshot create "calgary-$(date +%F).snapshot" --config calgary.yaml --json
`;

const restoreExamples = `
Examples:
  dormouse snapshot restore /backup/calgary.snapshot --config calgary.yaml
`;

async function createSnapshot(file: string, options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const path = resolve(file);
  const made = await takeSnapshot(admin, path, options);
  if (options.json === true) return printJson(made);
  await printPairs(["path", "bytes", "position", "sha256"].map((name) => [name, cell(made[name])] as const));
}

/** By the site where it runs; else by this process, which keeps the site from starting meanwhile. */
async function takeSnapshot(admin: AdminClient, path: string, options: AdminOptions): Promise<Fields> {
  using progress = progressLine();
  try {
    return await admin.call({ command: "snapshot", body: { path }, onProgress: progress.show });
  } catch (error) {
    if (!(error instanceof UnreachableRefusal) || error.mayHaveArrived) throw error;
  }
  const { snapshotStopped } = await import("../../app/snapshot-of-stopped.ts");
  return await snapshotStopped({ configPath: configPathOf(options), path, progress: progress.show });
}

async function restoreSnapshot(file: string, options: AdminOptions): Promise<void> {
  const restored = await restoreFrom(resolve(file), configPathOf(options));
  const { site, role, position, dataFolder, advice } = restored;
  if (options.json === true) return printJson({ site, role, position, data: dataFolder });
  printLine(`${dataFolder} holds ${site}, a ${role} at ${position}.`);
  for (const line of advice) printNote(line);
}

async function restoreFrom(path: string, configPath: string): Promise<RestoredSite> {
  const { restoreSnapshot: restore } = await import("../../app/snapshot-restore.ts");
  using progress = progressLine();
  return await restore({ configPath, path, progress: progress.show });
}
