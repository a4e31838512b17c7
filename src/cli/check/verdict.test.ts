import { describe, expect, it } from "vitest";
import type { Health } from "../../app/doctor/network.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Config } from "../../ops/config/config.ts";
import type { Fields } from "../fields.ts";
import type { CheckFacts } from "./facts.ts";
import { type CheckLimits, judge, verdictLine } from "./verdict.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const nowMs = Date.UTC(2026, 10, 23, 12);
const ago = (ms: number): string => new Date(nowMs - ms).toISOString();

const config: Config = {
  edition: "community",
  configPath: "calgary.yaml",
  site: "calgary" as SiteName,
  dataFolder: "calgary",
  listen: { host: "127.0.0.1", port: 8200, tls: null, behindProxy: [] },
  publicUrl: "http://127.0.0.1:8200",
  alerts: { lagAfterMs: 120_000, webhookUrl: null },
  keepVersions: 20,
  auditKeepDays: 400,
  diskFreeMinBytes: 100_000_000,
  adminOverHttp: false,
};

const peer = {
  site: "zurich",
  state: "asleep",
  acked: "1:52",
  dirty: 0,
  lag_ms: 0,
  quarantined: 0,
  last_error: null,
  verified: { position: "1:52", at: ago(3 * hourMs) },
};
const status = { site: "calgary", role: "primary", epoch: 1, head: "1:52", fenced: null, peers: [peer] };
const health: Health = { kind: "answered", site: "zurich", role: "backup", date: nowMs };
const facts: CheckFacts = {
  nowMs,
  config,
  status,
  peers: [{ site: "zurich", health, sentMs: nowMs - 20, receivedMs: nowMs }],
  certificates: [
    { whose: "its own", expiresAt: nowMs + 72 * dayMs },
    { whose: "zurich", expiresAt: nowMs + 300 * dayMs },
  ],
  diskFreeBytes: 5_000_000_000,
};
const limits: CheckLimits = { proofAgeMsMax: dayMs, certificateMsMin: 21 * dayMs, clockMsMax: 5_000 };

const lineOf = (changed: Partial<CheckFacts>): string =>
  verdictLine("calgary", judge({ ...facts, ...changed }, limits));
const withPeer = (changes: Fields): Partial<CheckFacts> => ({
  status: { ...status, peers: [{ ...peer, ...changes }] },
});
const answered = (changes: Partial<Health>): Partial<CheckFacts> => ({
  peers: [
    { site: "zurich", health: { ...health, ...changes } as Health, sentMs: nowMs - 20, receivedMs: nowMs },
  ],
});
const asBackup = { site: "calgary", role: "backup", epoch: 1, head: "1:52", applied: "1:52", fenced: null };
const primary = { site: "zurich", url: "https://zurich.example", last_push_at: ago(0) };

it("a site that is well says so in one line, with everything that was measured", () => {
  expect(lineOf({})).toBe(
    "DORMOUSE OK: calgary: primary of epoch 1; zurich was proved equal at 1:52 3 h ago; 5000 MB free on the disk; " +
      "its certificate ends in 72 days; the certificate of zurich ends in 300 days | " +
      "zurich_dirty=0 zurich_lag=0s;120 zurich_proof_age=10800s;86400 zurich_clock=0s;5 " +
      "disk_free=5000000000B;200000000:;100000000: own_certificate_days=72;21:;7: zurich_certificate_days=300;21:;7:",
  );
});

describe("what is wrong is told, the worst first", () => {
  const cases: readonly (readonly [string, Partial<CheckFacts>, string])[] = [
    [
      "a site that does not run",
      { status: "calgary does not run" },
      "CRITICAL: calgary: calgary does not run",
    ],
    [
      "a fence",
      { status: { ...status, fenced: "primary_behind" } },
      "CRITICAL: calgary: fenced (primary_behind): it takes no writes; run dormouse recover here |",
    ],
    [
      "a fence beside the new primary",
      { status: { ...status, fenced: "primary_superseded" }, ...answered({ role: "primary" }) },
      "CRITICAL: calgary: fenced (primary_superseded): it takes no writes; run dormouse rejoin here |",
    ],
    [
      "a backup that is only probed",
      withPeer({ state: "probing", last_error: "connect | refused" }),
      "CRITICAL: calgary: zurich: connect / refused, after every retry",
    ],
    [
      "one that is tried again",
      withPeer({ state: "backing_off" }),
      "WARNING: calgary: zurich: cannot be reached",
    ],
    ["one that is repaired", withPeer({ state: "repairing" }), "WARNING: calgary: zurich differs"],
    [
      "one that differs for good",
      withPeer({ diverged: true }),
      "CRITICAL: calgary: zurich differs: see dormouse verify",
    ],
    [
      "a site that came home",
      { status: { ...asBackup, primary, verified: peer.verified, complete: false } },
      "WARNING: calgary: it came home and is not proved equal since",
    ],
    ["a worker that has stopped", withPeer({ state: "stopped" }), "CRITICAL: calgary: zurich: its worker"],
    ["a lag", withPeer({ dirty: 3, lag_ms: 180_000 }), "WARNING: calgary: zurich lacks 3 rows for 3 min"],
    ["quarantine", withPeer({ quarantined: 2 }), "WARNING: calgary: zurich refuses 2 rows"],
    ["no proof", withPeer({ verified: null }), "WARNING: calgary: zurich was not proved equal yet"],
    [
      "a proof of another position",
      withPeer({ verified: { position: "1:40", at: ago(0) } }),
      "WARNING: calgary: zurich is not proved equal at 1:52, last at 1:40",
    ],
    [
      "an old proof",
      withPeer({ verified: { position: "1:52", at: ago(25 * hourMs) } }),
      "WARNING: calgary: zurich was proved equal at 1:52 25 h ago, too long",
    ],
    [
      "a backup's old proof",
      { status: { ...asBackup, primary, verified: { position: "1:52", at: ago(3 * dayMs) } } },
      "WARNING: calgary: it was proved equal at 1:52 3 days ago, too long",
    ],
    [
      "a backup that nobody has filled",
      { status: { ...asBackup, primary: null, verified: null } },
      "WARNING: calgary: no primary has pushed to it yet",
    ],
    [
      "a peer that does not answer",
      answered({ kind: "unreachable", code: "ECONNREFUSED" }),
      "CRITICAL: calgary: zurich does not answer (ECONNREFUSED)",
    ],
    [
      "a peer that is no Dormouse",
      answered({ kind: "other", detail: "it answers 502" }),
      "CRITICAL: calgary: zurich: it answers 502",
    ],
    [
      "a peer with another certificate",
      answered({ kind: "untrusted", detail: "pinned otherwise" }),
      "CRITICAL: calgary: zurich: pinned otherwise",
    ],
    ["another site in its place", answered({ site: "oslo" }), "CRITICAL: calgary: at zurich's URL is oslo"],
    ["two primaries", answered({ role: "primary" }), "CRITICAL: calgary: zurich says that it is primary too"],
    [
      "a clock before ours",
      answered({ date: nowMs - 61_000 }),
      "WARNING: calgary: the clock of zurich differs by 60 s",
    ],
    [
      "a clock behind ours",
      answered({ date: nowMs + 60_000 }),
      "WARNING: calgary: the clock of zurich differs by 60 s",
    ],
    ["little room", { diskFreeBytes: 150_000_000 }, "WARNING: calgary: 150 MB free on the disk"],
    [
      "no room",
      { diskFreeBytes: 99_999_999 },
      "CRITICAL: calgary: 99 MB free on the disk: writes are refused",
    ],
    [
      "a certificate that ends",
      { certificates: [{ whose: "its own", expiresAt: nowMs + 20 * dayMs }] },
      "WARNING: calgary: its certificate ends in 20 days",
    ],
    [
      "one that ends soon",
      { certificates: [{ whose: "zurich", expiresAt: nowMs + 6 * dayMs }] },
      "CRITICAL: calgary: the certificate of zurich ends in 6 days",
    ],
    [
      "one that has expired",
      { certificates: [{ whose: "zurich", expiresAt: nowMs - 1 }] },
      "CRITICAL: calgary: the certificate of zurich has expired",
    ],
    [
      "a warning beside something worse",
      { ...withPeer({ quarantined: 2 }), diskFreeBytes: 0 },
      "CRITICAL: calgary: 0 MB free on the disk: writes are refused; zurich refuses 2 rows |",
    ],
  ];
  it.each(cases)("%s", (_, changed, line) => {
    expect(lineOf(changed)).toContain(`DORMOUSE ${line}`);
  });
});

describe("what is no problem is not told as one", () => {
  const cases: readonly (readonly [string, Partial<CheckFacts>])[] = [
    [
      "rows under way",
      withPeer({ state: "shipping", dirty: 3, lag_ms: 500, verified: { position: "1:40", at: ago(0) } }),
    ],
    ["a date of whole seconds", answered({ date: nowMs - 999 })],
    ["a clock within the limit", answered({ date: nowMs + 5_000 })],
    ["an answer without a date", answered({ date: undefined })],
    [
      "a backup beside its primary",
      { status: { ...asBackup, primary, verified: peer.verified }, ...answered({ role: "primary" }) },
    ],
    [
      "a site without peers",
      { status: { site: "calgary", role: "primary", edition: "community" }, peers: [], certificates: [] },
    ],
  ];
  it.each(cases)("%s", (_, changed) => {
    expect(lineOf(changed)).toMatch(/^DORMOUSE OK: /);
  });
});
