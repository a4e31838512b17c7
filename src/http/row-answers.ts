import type { Alert } from "../core/alert-events.ts";
import { decodeEntry } from "../core/entry.ts";
import type { LiveRow, StoredRow } from "../core/row.ts";
import { decodeVault } from "../core/vault.ts";
import type { AlertAnswer, EntryAnswer, ReplicationAnswer, VaultAnswer } from "../protocol/answers.ts";

/** Rows as the API shows them. */

export function replicationAnswer(row: StoredRow): ReplicationAnswer {
  return { dirty: row.dirty, replicated_at: timeOrNull(row.replicatedAt) };
}

export function vaultAnswer(vaultId: string, row: LiveRow): VaultAnswer {
  const vault = decodeVault(row.body);
  return {
    vault_id: vaultId,
    name: vault.name,
    created_at: time(vault.createdAt),
    updated_at: time(vault.updatedAt),
    replication: replicationAnswer(row),
  };
}

export function entryAnswer(row: LiveRow): EntryAnswer {
  const { content, version, createdAt, updatedAt, trashedAt } = decodeEntry(row.body);
  return {
    entry_id: row.key.kind === "entry" ? row.key.entryId : "",
    version,
    ...content,
    created_at: time(createdAt),
    updated_at: time(updatedAt),
    trashed_at: timeOrNull(trashedAt),
    replication: replicationAnswer(row),
  };
}

export function alertAnswer(alert: Alert): AlertAnswer {
  const { id, event, severity, message, details, incident } = alert;
  return {
    id,
    event,
    severity,
    message,
    details,
    at: time(alert.at),
    incident,
    ended_at: timeOrNull(alert.endedAt),
  };
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : time(ms);
}
