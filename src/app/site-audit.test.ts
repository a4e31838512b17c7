import { pino } from "pino";
import { expect, test } from "vitest";
import { VirtualClock } from "../../test/support/ports.ts";
import type { AuditEvent } from "../core/audit.ts";
import { Refusal } from "../core/errors.ts";
import { SiteAudit } from "./site-audit.ts";

const event: AuditEvent = {
  actor: { kind: "access", id: "an access" },
  action: "getEntry",
  vaultId: null,
  itemId: null,
  address: "192.0.2.7",
  result: "ok",
};

function auditOf(record: () => Promise<void>, name: "community" | "commercial" = "commercial") {
  const told: string[] = [];
  const logged: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void logged.push(line) });
  const edition = { name, alertOperator: (alert: string) => void told.push(alert) };
  return {
    told,
    logged,
    audit: new SiteAudit({ store: { journal: { record } }, edition, clock: new VirtualClock(), log }),
  };
}

test("what cannot be recorded is logged each time, and told once, and so is that it is over", async () => {
  let isFull = false;
  const { told, logged, audit } = auditOf(async () => {
    if (isFull) throw new Refusal("disk_full");
  });
  // An incident of an earlier process would be ended by it.
  await audit.record(event);
  expect(told.splice(0)).toEqual(["audit_recovered"]);
  isFull = true;
  for (let i = 0; i < 3; i += 1) await audit.record(event);
  expect(told.splice(0)).toEqual(["audit_failed"]);
  expect(logged).toHaveLength(3);
  expect(logged[0]).not.toContain("192.0.2.7");
  isFull = false;
  for (let i = 0; i < 3; i += 1) await audit.record(event);
  expect(told).toEqual(["audit_recovered"]);
});

test("a community site is told nothing at its start", async () => {
  const { told, audit } = auditOf(async () => undefined, "community");
  await audit.record(event);
  expect(told).toEqual([]);
});

test("an answer waits for its record, but not behind a write that takes long", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const order: string[] = [];
  const turns = { turn: () => new Promise<void>((done) => setImmediate(done)) };
  const quick = auditOf(async () => {
    await turns.turn();
    order.push("recorded");
  });
  await quick.audit.record(event);
  order.push("answered");
  const slow = auditOf(() => promise.then(() => void order.push("recorded late")));
  await slow.audit.record(event);
  order.push("answered at once");
  resolve();
  await turns.turn();
  expect(order).toEqual(["recorded", "answered", "answered at once", "recorded late"]);
});
