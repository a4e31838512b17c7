import { cell, type Fields, isFields, objectsIn, textOr } from "../fields.ts";
import type { CertificateExpiry, CheckFacts, PeerFacts } from "./facts.ts";
import { type Level, levels } from "./levels.ts";

export type CheckLimits = {
  readonly proofAgeMsMax: number;
  readonly certificateMsMin: number;
  readonly clockMsMax: number;
};

export type CheckFinding = { readonly level: Level; readonly text: string };
/** One value of the performance data, with the ranges that are in order as Nagios writes them. */
export type Measure = {
  readonly name: string;
  readonly value: number;
  readonly unit: "s" | "B" | "";
  readonly warning?: string;
  readonly critical?: string;
};

export type Verdict = {
  readonly level: Level;
  readonly findings: readonly CheckFinding[];
  readonly measures: readonly Measure[];
};

/** What every judgement is made from. */
type Frame = CheckFacts & { readonly limits: CheckLimits };

const dayMs = 86_400_000;

/** What the facts come to. Every finding counts by itself; what is in order is said too. */
export function judge(facts: CheckFacts, limits: CheckLimits): Verdict {
  const { status } = facts;
  const frame: Frame = { ...facts, limits };
  const parts: readonly Part[] = [
    typeof status === "string" ? { findings: [critical(status)] } : judgeStatus(status, frame),
    ...facts.peers.map((peer) => judgePeer(peer, frame)),
    judgeDisk(facts),
    ...facts.certificates.map((certificate) => judgeCertificate(certificate, frame)),
  ];
  const findings = parts.flatMap((part) => part.findings);
  return { level: worst(findings), findings, measures: parts.flatMap((part) => part.measures ?? []) };
}

/** Problems first, the worst in front; without any, what is in order. */
export function verdictLine(site: string, { level, findings, measures }: Verdict): string {
  const problems = findings.filter((finding) => finding.level !== "OK");
  const told = (problems.length === 0 ? findings : problems).toSorted(
    (a, b) => rank(b.level) - rank(a.level),
  );
  const text = told.map((finding) => finding.text.replaceAll("|", "/")).join("; ");
  const line = `DORMOUSE ${level}: ${site}: ${text}`;
  return measures.length === 0 ? line : `${line} | ${measures.map(measureText).join(" ")}`;
}

function measureText({ name, value, unit, warning, critical: limit }: Measure): string {
  const text = `${name}=${value}${unit};${warning ?? ""};${limit ?? ""}`;
  return text.replace(/;+$/, "");
}

type Part = { readonly findings: readonly CheckFinding[]; readonly measures?: readonly Measure[] };

function rank(level: Level): number {
  return levels.indexOf(level);
}

function worst(findings: readonly CheckFinding[]): Level {
  return findings.reduce<Level>((level, next) => (rank(next.level) > rank(level) ? next.level : level), "OK");
}

function ok(text: string): CheckFinding {
  return { level: "OK", text };
}

function warning(text: string): CheckFinding {
  return { level: "WARNING", text };
}

function critical(text: string): CheckFinding {
  return { level: "CRITICAL", text };
}

function judgeStatus(status: Fields, frame: Frame): Part {
  const epoch = status.epoch === undefined ? "" : ` of epoch ${cell(status.epoch)}`;
  const role = ok(`${cell(status.role)}${epoch}`);
  if (typeof status.fenced === "string") {
    const remedy = fenceRemedies[status.fenced] ?? "see dormouse status";
    return { findings: [critical(`fenced (${status.fenced}): it takes no writes; ${remedy}`)] };
  }
  if (Array.isArray(status.peers)) {
    const parts = objectsIn(status, "peers").map((peer) => judgeBackup(peer, status, frame));
    return {
      findings: [role, ...parts.flatMap((part) => part.findings)],
      measures: parts.flatMap((part) => part.measures ?? []),
    };
  }
  return status.role === "backup" ? judgeSelfAsBackup(status, role, frame) : { findings: [role] };
}

const fenceRemedies: Readonly<Record<string, string>> = {
  primary_behind: "run dormouse recover here",
  primary_superseded: "run dormouse rejoin here",
  promotion_granted: "finish that promotion, or take it back with dormouse promote here",
};

/** A backup as its primary knows it. */
function judgeBackup(peer: Fields, status: Fields, frame: Frame): Part {
  const name = cell(peer.site);
  const lagMs = numberIn(peer, "lag_ms");
  const lagMsMax = frame.config.alerts.lagAfterMs;
  const quarantined = numberIn(peer, "quarantined");
  const findings: CheckFinding[] = [];
  if (peer.state === "probing") findings.push(critical(`${name}: ${errorOf(peer)}, after every retry`));
  else if (peer.state === "backing_off")
    findings.push(warning(`${name}: ${errorOf(peer)}, and is tried again`));
  else if (peer.state === "repairing") findings.push(warning(`${name} differs and is being repaired`));
  else if (peer.diverged === true) findings.push(critical(`${name} differs: see dormouse verify`));
  else if (peer.state === "stopped") findings.push(critical(`${name}: its worker has stopped`));
  if (lagMs > lagMsMax)
    findings.push(warning(`${name} lacks ${cell(peer.dirty)} rows for ${seconds(lagMs)}`));
  if (quarantined > 0) findings.push(warning(`${name} refuses ${quarantined} rows`));
  const measures: Measure[] = [
    { name: `${name}_dirty`, value: numberIn(peer, "dirty"), unit: "" },
    { name: `${name}_lag`, value: lagMs / 1_000, unit: "s", warning: String(lagMsMax / 1_000) },
  ];
  // While it is behind, there is nothing to be equal to.
  const proof =
    numberIn(peer, "dirty") > 0 ? { findings: [] } : judgeProof(name, peer.verified, status.head, frame);
  return { findings: [...findings, ...proof.findings], measures: [...measures, ...(proof.measures ?? [])] };
}

function judgeSelfAsBackup(status: Fields, role: CheckFinding, frame: Frame): Part {
  if (!isFields(status.primary)) return { findings: [role, warning("no primary has pushed to it yet")] };
  if (status.complete === false) {
    return { findings: [role, warning("it came home and is not proved equal since: rows may be missing")] };
  }
  const proof = judgeProof("it", status.verified, status.applied, frame);
  return { findings: [role, ...proof.findings], measures: proof.measures ?? [] };
}

/** Whether both sides were found equal, at the position they stand at now, and not too long ago. */
function judgeProof(
  name: string,
  proof: unknown,
  head: unknown,
  { nowMs, limits: { proofAgeMsMax } }: Frame,
): Part {
  if (!isFields(proof)) return { findings: [warning(`${name} was not proved equal yet`)] };
  if (proof.position !== head) {
    const proved = `${name} is not proved equal at ${cell(head)}, last at ${cell(proof.position)}`;
    return { findings: [warning(proved)] };
  }
  const ageMs = Math.max(0, nowMs - Date.parse(textOr(proof, "at", "")));
  const limit = String(proofAgeMsMax / 1_000);
  const measure: Measure = {
    name: `${name === "it" ? "own" : name}_proof_age`,
    value: Math.round(ageMs / 1_000),
    unit: "s",
    warning: limit,
  };
  const text = `${name} was proved equal at ${cell(head)} ${seconds(ageMs)} ago`;
  return { findings: [ageMs > proofAgeMsMax ? warning(`${text}, too long`) : ok(text)], measures: [measure] };
}

/** The peer as it answers now. */
function judgePeer({ site, health, sentMs, receivedMs }: PeerFacts, frame: Frame): Part {
  switch (health.kind) {
    case "unreachable":
      return { findings: [critical(`${site} does not answer (${health.code})`)] };
    case "other":
    case "untrusted":
      return { findings: [critical(`${site}: ${health.detail}`)] };
    case "answered": {
      if (health.site !== site) return { findings: [critical(`at ${site}'s URL is ${health.site}`)] };
      const clock = judgeClock(site, health.date, { sentMs, receivedMs }, frame.limits);
      return {
        findings: [...judgeRole(site, health.role, frame), ...clock.findings],
        measures: clock.measures ?? [],
      };
    }
  }
}

function judgeRole(site: string, role: string, { status }: CheckFacts): readonly CheckFinding[] {
  const isActing =
    typeof status !== "string" && status.role === "primary" && typeof status.fenced !== "string";
  return isActing && role === "primary" ? [critical(`${site} says that it is primary too`)] : [];
}

/** The date of an answer has whole seconds and was written somewhere between the asking and the answer. */
function judgeClock(
  site: string,
  date: number | undefined,
  { sentMs, receivedMs }: Pick<PeerFacts, "sentMs" | "receivedMs">,
  { clockMsMax }: CheckLimits,
): Part {
  if (date === undefined) return { findings: [] };
  const differenceMs = Math.max(0, date - receivedMs, sentMs - (date + 999));
  const limit = String(clockMsMax / 1_000);
  const measures: Measure[] = [
    { name: `${site}_clock`, value: Math.round(differenceMs) / 1_000, unit: "s", warning: limit },
  ];
  if (differenceMs <= clockMsMax) return { findings: [], measures };
  return { findings: [warning(`the clock of ${site} differs by ${seconds(differenceMs)}`)], measures };
}

function judgeDisk({ config, diskFreeBytes }: CheckFacts): Part {
  const least = config.diskFreeMinBytes;
  const measures: Measure[] = [
    { name: "disk_free", value: diskFreeBytes, unit: "B", warning: `${2 * least}:`, critical: `${least}:` },
  ];
  const text = `${Math.floor(diskFreeBytes / 1e6)} MB free on the disk`;
  if (diskFreeBytes < least) return { findings: [critical(`${text}: writes are refused`)], measures };
  if (diskFreeBytes < 2 * least) return { findings: [warning(text)], measures };
  return { findings: [ok(text)], measures };
}

/** Critical in the last third of the time in which it is told of. */
function judgeCertificate(
  { whose, expiresAt }: CertificateExpiry,
  { nowMs, limits: { certificateMsMin } }: Frame,
): Part {
  const leftMs = expiresAt - nowMs;
  const days = Math.floor(leftMs / dayMs);
  const [warnDays, criticalDays] = [certificateMsMin / dayMs, Math.floor(certificateMsMin / 3 / dayMs)];
  const name = `${whose === "its own" ? "own" : whose}_certificate_days`;
  const measures: Measure[] = [
    { name, value: days, unit: "", warning: `${warnDays}:`, critical: `${criticalDays}:` },
  ];
  const subject = whose === "its own" ? "its certificate" : `the certificate of ${whose}`;
  if (leftMs <= 0) return { findings: [critical(`${subject} has expired`)], measures };
  const text = `${subject} ends in ${days} days`;
  if (days < criticalDays) return { findings: [critical(text)], measures };
  return { findings: [leftMs < certificateMsMin ? warning(text) : ok(text)], measures };
}

function numberIn(fields: Fields, name: string): number {
  const value = fields[name];
  return typeof value === "number" ? value : 0;
}

function errorOf(peer: Fields): string {
  return textOr(peer, "last_error", "cannot be reached");
}

/** `42 s`, `3 h`. */
function seconds(ms: number): string {
  const units = [
    [2 * dayMs, dayMs, "days"],
    [7_200_000, 3_600_000, "h"],
    [120_000, 60_000, "min"],
  ] as const;
  for (const [from, unit, name] of units) if (ms >= from) return `${Math.floor(ms / unit)} ${name}`;
  return `${Math.round(ms / 1_000)} s`;
}
