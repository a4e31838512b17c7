import { describe } from "vitest";
import { accessContract } from "./access-contract.ts";
import { alertContract } from "./alert-contract.ts";
import { strandedContract } from "./stranded-contract.ts";
import { asideContract } from "./aside-contract.ts";
import { auditContract } from "./audit-contract.ts";
import { backupContract } from "./backup-contract.ts";
import { digestContract } from "./digest-contract.ts";
import { digestProperties } from "./digest-properties.ts";
import { historyContract } from "./history-contract.ts";
import { portContract } from "./port-contract.ts";
import { primaryContract } from "./primary-contract.ts";
import { quarantineContract } from "./quarantine-contract.ts";
import { replicationProperties } from "./replication-properties.ts";
import { recountContract } from "./recount-contract.ts";
import { repairContract } from "./repair-contract.ts";
import { rejoinContract } from "./rejoin-contract.ts";
import { roleContract } from "./role-contract.ts";
import type { StoreUnderTest } from "./store-harness.ts";
import { vaultContract } from "./vault-contract.ts";
import { versionContract } from "./version-contract.ts";

/** Everything that the core's Store port promises, for any store that claims to keep it. */
export function storeContract(name: string, store: StoreUnderTest): void {
  describe(name, () => {
    portContract(store);
    vaultContract(store);
    versionContract(store);
    accessContract(store);
    primaryContract(store);
    quarantineContract(store);
    backupContract(store);
    digestContract(store);
    historyContract(store);
    alertContract(store);
    asideContract(store);
    auditContract(store);
    strandedContract(store);
    repairContract(store);
    recountContract(store);
    roleContract(store);
    rejoinContract(store);
    replicationProperties(store);
    digestProperties(store);
  });
}
