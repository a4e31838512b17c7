import { errorCodes, Refusal } from "../core/errors.ts";
import type { Config } from "../ops/config/config.ts";
import { examineCertificates } from "./doctor/certificates.ts";
import { examineData } from "./doctor/data.ts";
import { bad, type Finding, good } from "./doctor/finding.ts";
import { examineMachine, type Machine, thisMachine } from "./doctor/machine.ts";
import { examineNetwork } from "./doctor/network.ts";
import { readSiteConfig } from "./site-config.ts";

export type { Finding } from "./doctor/finding.ts";

export type ExamineOptions = { readonly configPath: string; readonly machine?: Machine };

/**
 * Looks at everything that keeps a site from working, and changes nothing: the machine, the configuration with its secret
 * files, the data folder with every page of the database, the disk, the port and the peers. Also while the site runs. What it
 * cannot look at because something before it is wrong, it leaves out.
 */
export async function examine({ configPath, machine }: ExamineOptions): Promise<readonly Finding[]> {
  const findings = examineMachine(machine ?? thisMachine());
  const config = await readSiteConfig(configPath).catch((error: unknown) => {
    if (error instanceof Refusal) return error;
    throw error;
  });
  if (config instanceof Refusal) return [...findings, ...mistakesIn(config)];
  const nowMs = (): number => machine?.nowMs ?? Date.now();
  return [
    ...findings,
    ...describeConfig(config),
    ...(await examineData(config)),
    ...(await examineNetwork(config, nowMs)),
    ...(await examineCertificates(config, nowMs)),
  ];
}

function mistakesIn(refusal: Refusal): Finding[] {
  const { remedy } = errorCodes[refusal.code];
  if (refusal.mistakes.length === 0) return [bad("configuration", refusal.message, remedy)];
  return refusal.mistakes.map(({ path, message }) => bad("configuration", `${path}: ${message}`, remedy));
}

function describeConfig(config: Config): Finding[] {
  const finding = good("configuration", `${config.configPath} is right; edition ${config.edition}`);
  if (config.edition === "community") return [finding];
  const { peers } = config.replication;
  const secrets = good("token files", `${peers.length} read and private`);
  const isHeard = config.alerts.webhookUrl !== null;
  const advice = isHeard
    ? null
    : "Set alerts.webhook: without it, alerts reach only the log and `dormouse alerts`.";
  return [
    finding,
    secrets,
    good("alerts", isHeard ? "a webhook is configured" : "no webhook is configured", advice),
  ];
}
