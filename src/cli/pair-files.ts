import { constants } from "node:fs";
import { access, chmod, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { Refusal } from "../core/errors.ts";
import type { Config } from "../ops/config/config.ts";

/** One site of the pair that `npm start` runs. */
export type PairSite = {
  readonly site: "calgary" | "zurich";
  readonly configPath: string;
  readonly operatorTokenPath: string;
  readonly config: Config;
};

export type Pair = { readonly calgary: PairSite; readonly zurich: PairSite };
export type PairPorts = { readonly calgary: number; readonly zurich: number };

/**
 * Makes what is missing of the pair under a folder: configurations, the pair's secret, data folders, operator tokens. What is
 * there is used as it is, so a configuration may be edited and a second start goes on with the data.
 * @param ports only for configurations that are not there yet
 */
export async function preparePair(folder: string, ports: PairPorts): Promise<Pair> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  await writeNew(join(folder, "calgary.yaml"), configText("calgary", ports.calgary, "zurich", ports.zurich));
  await writeNew(join(folder, "zurich.yaml"), configText("zurich", ports.zurich, "calgary", ports.calgary));
  // The primary first: its init makes the pair's secret, which the backup's configuration names too.
  const calgary = await prepareSite(folder, "calgary", "primary");
  const zurich = await prepareSite(folder, "zurich", "backup");
  return { calgary, zurich };
}

async function prepareSite(
  folder: string,
  site: PairSite["site"],
  role: "primary" | "backup",
): Promise<PairSite> {
  const configPath = join(folder, `${site}.yaml`);
  const operatorTokenPath = join(folder, `${site}.operator.token`);
  const operatorToken = await initWhereMissing(configPath, role);
  if (operatorToken !== undefined) await writeNew(operatorTokenPath, `${operatorToken}\n`);
  const { readSiteConfig } = await import("../app/site-config.ts");
  return { site, configPath, operatorTokenPath, config: await readSiteConfig(configPath) };
}

/** The operator token of a new site; undefined where there is a site already. */
async function initWhereMissing(configPath: string, role: "primary" | "backup"): Promise<string | undefined> {
  const { init } = await import("../app/init.ts");
  try {
    return (await init({ configPath, role })).operatorToken;
  } catch (error) {
    if (error instanceof Refusal && error.code === "data_exists") return undefined;
    throw error;
  }
}

function configText(site: string, port: number, peer: string, peerPort: number): string {
  return `# Written by the first \`npm start\`, and yours from then on: later starts use it as it is.
edition: commercial
site: ${site}
data: ./${site}
listen: { host: 127.0.0.1, port: ${port} }
public_url: http://127.0.0.1:${port}
replication:
  peers: [{ site: ${peer}, url: "http://127.0.0.1:${peerPort}", token_file: ./pair.token }]
`;
}

async function writeNew(path: string, text: string): Promise<void> {
  if (await exists(path)) return;
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(text);
  await file.sync();
}

export async function exists(path: string): Promise<boolean> {
  return await access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}
