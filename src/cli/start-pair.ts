import { once } from "node:events";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { listenForShutdown } from "../app/shutdown.ts";
import { exitStatus } from "./exit-status.ts";
import { sayWhereOld } from "./freshness.ts";
import { type Pair, type PairPorts, type PairSite, preparePair } from "./pair-files.ts";
import { guideText } from "./pair-guide.ts";
import { type Ending, SiteChild } from "./pair-process.ts";
import { CommandRefusal, reportOf, usageRefusal } from "./report.ts";
import { SiteClient } from "./site-client.ts";

const interruptedStatus = 130;
const healthIntervalMs = 100;

/**
 * What `npm start` runs: the pair on this machine, in the foreground. Takes `--data FOLDER` and `--ports CALGARY,ZURICH`;
 * without them ./data, 8200 and 8201. Resolves with the exit status: 0 where somebody stopped it and both sites ended well.
 */
async function startPair(args: readonly string[]): Promise<number> {
  sayWhereOld({ isThorough: true });
  const { folder, ports } = parseOptions(args);
  const pair = await preparePair(folder, ports);
  const sites = [pair.calgary, pair.zurich];
  for (const site of sites) await checkPortIsFree(site);

  const children: SiteChild[] = [];
  using shutdown = listenForShutdown({
    exit: () => {
      for (const child of children) child.kill();
      process.exit(interruptedStatus);
    },
  });
  stopWithTerminal(() => shutdown.request());
  children.push(...sites.map(({ site, configPath }) => new SiteChild(site, configPath)));
  const ending = await untilOver(folder, pair, children, shutdown.signal);
  if (ending !== undefined) say(`${describeEnding(ending)}; stopping the other site.`);
  const endings = await Promise.all(children.map((child) => child.stop()));
  return ending === undefined && endings.every(endedWell) ? exitStatus.done : exitStatus.failed;
}

/** Announces the pair when it is ready and resolves when it is over: with the first site that ended, or nothing on a stop. */
async function untilOver(
  folder: string,
  pair: Pair,
  children: readonly SiteChild[],
  stop: AbortSignal,
): Promise<Ending | undefined> {
  const over = new AbortController();
  const stopped = stop.aborted ? Promise.resolve(undefined) : once(stop, "abort").then(() => undefined);
  const ending = Promise.race([stopped, ...children.map((child) => child.ended)]).finally(() => over.abort());
  await announceWhenReady(folder, pair, over.signal);
  return await ending;
}

async function announceWhenReady(folder: string, pair: Pair, over: AbortSignal): Promise<void> {
  for (const { config } of [pair.calgary, pair.zurich]) {
    const client = new SiteClient(new URL(config.publicUrl), undefined);
    while (!over.aborted && !(await answers(client))) await delay(healthIntervalMs);
    client.close();
  }
  if (!over.aborted) say(await guideText(folder, pair));
}

async function answers(client: SiteClient): Promise<boolean> {
  return await client.call({ method: "GET", path: "/healthz" }).then(
    () => true,
    () => false,
  );
}

/** A closed terminal, or a reader of the logs that went away, is a wish to stop like Ctrl-C. */
function stopWithTerminal(stop: () => void): void {
  process.on("SIGHUP", stop);
  for (const stream of [process.stdout, process.stderr]) stream.on("error", stop);
}

function parseOptions(args: readonly string[]): { readonly folder: string; readonly ports: PairPorts } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { data: { type: "string", default: "data" }, ports: { type: "string", default: "8200,8201" } },
    });
    const [calgary = Number.NaN, zurich = Number.NaN, ...rest] = values.ports.split(",").map(Number);
    if (!isPort(calgary) || !isPort(zurich) || calgary === zurich || rest.length > 0) {
      throw usageRefusal("--ports needs two different ports", "such as --ports 8200,8201");
    }
    return { folder: resolve(values.data), ports: { calgary, zurich } };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw usageRefusal(error.message, "it takes --data FOLDER and --ports CALGARY,ZURICH");
  }
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
}

/** Said before anything starts: otherwise the healthy answer of whoever listens there would pass for the site's. */
async function checkPortIsFree({ site, config }: PairSite): Promise<void> {
  const { host, port } = config.listen;
  const server = createServer();
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch {
    const remedy = `stop what listens there (another npm start?), or change listen.port in ${config.configPath}`;
    throw new CommandRefusal("port_in_use", `${site} cannot listen on ${host}:${port}`, remedy);
  } finally {
    if (server.listening) await new Promise((done) => server.close(done));
  }
}

/** Asked to stop before it listened for signals, a site has nothing to finish and simply ends. */
function endedWell({ status, signal }: Ending): boolean {
  return status === 0 || signal === "SIGTERM";
}

function describeEnding({ site, status, signal }: Ending): string {
  return signal === null ? `${site} ended with status ${status}` : `${site} was ended by ${signal}`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  process.exitCode = await startPair(process.argv.slice(2));
} catch (error) {
  const report = reportOf(error);
  for (const line of report.lines) process.stderr.write(`${line}\n`);
  process.exitCode = report.status;
}
