import { initialiseSite } from "../../src/store/sqlite/new-site.ts";
import { openSqliteStore } from "../../src/store/sqlite/open.ts";
import { systemClock, systemHash, systemRandom } from "../../src/app/system-ports.ts";
import { type EntryId, newUuidV7, type SiteName, type VaultId } from "../../src/core/ids.ts";
import type { RowKey } from "../../src/core/row.ts";
import { instantMs } from "./instant.ts";
import { answerParent } from "./messages.ts";
import { rowBody } from "./sample-entry.ts";

/**
 * A store alone, with one peer that is never reached, for timing its writes.
 * Usage: store-writes.ts DATABASE
 */

const path = process.argv[2] ?? "";
const ports = { clock: systemClock, random: systemRandom, hash: systemHash };
initialiseSite(path, { site: "calgary" as SiteName, role: "primary", ...ports });
const { store } = openSqliteStore({ path, ...ports });
await store.transact((tx) => tx.replication.configurePeers(["zurich" as SiteName]));
const vaultId = newUuidV7(systemClock.now(), systemRandom) as VaultId;

async function timeWrites(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const key: RowKey = {
      kind: "entry",
      vaultId,
      entryId: newUuidV7(systemClock.now(), systemRandom) as EntryId,
    };
    const beganMs = instantMs();
    await store.transact((tx) => tx.rows.write({ keys: [key], decide: () => [{ key, body: rowBody }] }));
    times.push(instantMs() - beganMs);
  }
  return times;
}

answerParent({ timeWrites: (count) => timeWrites(Number(count)) }, () => store.close());
