import type { Reader, Transaction } from "../../../core/store/store.ts";
import { AccessReads, AccessWrites } from "./accesses.ts";
import { AlertReads, AlertWrites } from "./alerts.ts";
import { AsideReads, AsideWrites } from "./aside.ts";
import { AuditReads, AuditWrites } from "./audit.ts";
import { OperatorReads, OperatorWrites } from "./operators.ts";
import { RepairReads, RepairWrites } from "./repair.ts";
import { ReplicationReads, ReplicationWrites } from "./replication.ts";
import { RoleWrites } from "./roles.ts";
import { RowReads, RowWrites } from "./rows.ts";
import type { ReadScope, TransactionScope } from "./scope.ts";
import { SiteReads, SiteWrites } from "./site.ts";

/** A reader has no state of its own, so that one serves all reads of a store. */
export function readerOf(scope: ReadScope): Reader {
  return {
    site: new SiteReads(scope),
    operators: new OperatorReads(scope),
    rows: new RowReads(scope),
    accesses: new AccessReads(scope),
    replication: new ReplicationReads(scope),
    repair: new RepairReads(scope),
    aside: new AsideReads(scope),
    audit: new AuditReads(scope),
    alerts: new AlertReads(scope),
  };
}

export function transactionOf(scope: TransactionScope): Transaction {
  return {
    site: new SiteWrites(scope),
    operators: new OperatorWrites(scope),
    rows: new RowWrites(scope),
    accesses: new AccessWrites(scope),
    replication: new ReplicationWrites(scope),
    repair: new RepairWrites(scope),
    roles: new RoleWrites(scope),
    aside: new AsideWrites(scope),
    audit: new AuditWrites(scope),
    alerts: new AlertWrites(scope),
  };
}
