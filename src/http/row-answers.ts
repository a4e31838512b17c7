import type { Alert } from "../core/alert-events.ts";
import type { Entry } from "../core/entry.ts";
import type { LiveRow, StoredRow } from "../core/row.ts";
import { entryIdOf } from "../core/resealing.ts";
import { decodeVault, type NewAccess } from "../core/vault.ts";
import type {
  AccessAnswer,
  AlertAnswer,
  EntryAnswer,
  ReplicationAnswer,
  VaultAnswer,
} from "../protocol/answers.ts";

/** Rows as the API shows them. */

/** A row of an entry or of one of its versions, and what it holds. */
export type OpenedRow = { readonly row: LiveRow; readonly entry: Entry };

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

/** @param row of the entry, or of the earlier version that it was opened from */
export function entryAnswer({ row, entry }: OpenedRow): EntryAnswer {
  const { content, version, createdAt, updatedAt, trashedAt } = entry;
  return {
    entry_id: entryIdOf(row.key),
    version,
    ...content,
    created_at: time(createdAt),
    updated_at: time(updatedAt),
    trashed_at: timeOrNull(trashedAt),
    replication: replicationAnswer(row),
  };
}

export function accessAnswer({ accessId, access }: NewAccess): AccessAnswer {
  const { kind, name, scope, createdAt, expiresAt } = access;
  return {
    access_id: accessId,
    kind,
    name,
    login: kind === "person" ? name : null,
    scope,
    created_at: time(createdAt),
    expires_at: timeOrNull(expiresAt),
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

export function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : time(ms);
}
