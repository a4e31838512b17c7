import type { AccessKind, Scope } from "../core/access.ts";
import type { AlertDetails, AlertEvent, Severity } from "../core/alert-events.ts";
import type { EntryContent } from "../core/entry.ts";
import type { ErrorCode, Mistake } from "../core/errors.ts";
import type { Role } from "../core/push.ts";

/** What the HTTP API answers. All times are RFC 3339 in UTC, all positions `"1:7"`. */

export type ReplicationAnswer = {
  /** Whether some backup has not acknowledged this state. */
  readonly dirty: boolean;
  readonly replicated_at: string | null;
  /** Only where the client asked to wait: which backups hold it. */
  readonly backups?: Readonly<Record<string, boolean>>;
};

export type VaultAnswer = {
  readonly vault_id: string;
  readonly name: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly replication: ReplicationAnswer;
};

/** The token is shown this once. */
export type NewVaultAnswer = VaultAnswer & {
  readonly access_id: string;
  readonly token: string;
  /** Only where it was asked for. */
  readonly recovery?: { readonly access_id: string; readonly token: string };
};

export type AccessAnswer = {
  readonly access_id: string;
  readonly kind: AccessKind;
  readonly name: string;
  /** What a person logs in by; null of a machine. */
  readonly login: string | null;
  readonly scope: Scope;
  readonly created_at: string;
  readonly expires_at: string | null;
};

/** A machine's token, or the passphrase that was made for a person, is shown this once. */
export type NewAccessAnswer = AccessAnswer & { readonly token?: string; readonly passphrase?: string };

/**
 * `direct`: its row holds the current key. `linked`: it was absent when the key was changed, and opens it all the same. `ended`:
 * nothing leads to the current key. `forged`: its row was changed without the vault's key.
 */
export type AccessState = "direct" | "linked" | "ended" | "forged";

export type AccessListAnswer = {
  readonly accesses: readonly (AccessAnswer & {
    readonly last_used_at: string | null;
    readonly state: AccessState;
    /** Whether this site refuses it, whatever the vault's owners say. */
    readonly blocked: boolean;
  })[];
};

/** `honoured_by` names the sites that had not followed after ten seconds: they still take it. */
export type RevokedAccessAnswer = {
  readonly access_id: string;
  readonly revoked: true;
  readonly key_changed: boolean;
  readonly honoured_by: readonly string[];
  readonly still_opens: string;
};

/** `not_linked` names accesses that have no way to the new key, because their rows were forged or had none to the old. */
export type KeyChangeAnswer = {
  readonly vault_id: string;
  readonly key_changed: true;
  readonly not_linked: readonly string[];
  readonly replication: ReplicationAnswer;
};

export type VersionListAnswer = {
  readonly versions: readonly {
    readonly version: number;
    readonly title: string;
    readonly updated_at: string;
    readonly trashed_at: string | null;
  }[];
  readonly unreadable: readonly { readonly version: number; readonly code: ErrorCode }[];
  readonly next_cursor: number | null;
};
export type VaultListAnswer = { readonly vaults: readonly (VaultAnswer & { readonly entries: number })[] };

export type EntryAnswer = EntryContent & {
  readonly entry_id: string;
  readonly version: number;
  readonly created_at: string;
  readonly updated_at: string;
  readonly trashed_at: string | null;
  readonly replication: ReplicationAnswer;
};

/** `next_cursor` is null on the last page. A page may be shorter than its limit and not be the last. */
export type EntryListAnswer = {
  readonly entries: readonly EntryAnswer[];
  /** Those that do not open: their bodies were changed on the disk. */
  readonly unreadable: readonly { readonly entry_id: string; readonly code: ErrorCode }[];
  readonly next_cursor: string | null;
};

/** The codes of an entry's one-time keys, in the order of its fields. `valid_until` is when the next one takes its place. */
export type OneTimeCodesAnswer = {
  readonly codes: readonly {
    readonly label: string;
    readonly code: string;
    /** In seconds. */
    readonly period: number;
    readonly remaining_seconds: number;
    readonly valid_until: string;
  }[];
};

/** `entry_ids` in the order of the import; `kept` were there already with the same content. */
export type ImportAnswer = {
  readonly created: number;
  readonly kept: number;
  readonly entry_ids: readonly string[];
  readonly replication: ReplicationAnswer;
};

export type PurgedEntryAnswer = {
  readonly entry_id: string;
  readonly purged: true;
  readonly replication: ReplicationAnswer;
};
export type DeletedVaultAnswer = {
  readonly vault_id: string;
  readonly deleted: true;
  readonly replication: ReplicationAnswer;
};

export type AlertAnswer = {
  readonly id: number;
  readonly event: AlertEvent;
  readonly severity: Severity;
  readonly message: string;
  readonly details: AlertDetails;
  readonly at: string;
  readonly incident: string;
  readonly ended_at: string | null;
};
export type AlertListAnswer = { readonly alerts: readonly AlertAnswer[] };

/** What came of a test alert, channel by channel; `error` says why one did not take it. */
export type AlertTestAnswer = {
  readonly deliveries: readonly { readonly channel: string; readonly ok: boolean; readonly error?: string }[];
};

export type HealthAnswer = {
  readonly status: "ok";
  readonly site: string;
  /** null while the database does not answer. */
  readonly role: Role | null;
  readonly edition: string;
  readonly version: string;
};

export type ReadyAnswer = { readonly status: "ready" };

export const problemMediaType = "application/problem+json";

/** Every refusal (RFC 9457). `title` goes with the code, `detail` with this one case; a body may add members of its own. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly request_id: string;
  readonly errors?: readonly Mistake[];
};

/** A person who is logged in. `vaults` are those that the passphrase opens here. */
export type SessionAnswer = {
  readonly login: string;
  readonly idle_expires_at: string;
  readonly expires_at: string;
  readonly vaults: readonly { readonly vault_id: string; readonly name: string; readonly scope: Scope }[];
};

/** The token is shown this once. */
export type NewSessionAnswer = SessionAnswer & { readonly token: string };

/** One record of the audit. `address` is where the call came from, `result` is `ok` or the code of the refusal. */
export type AuditRecordAnswer = {
  /** Whose chain it stands in. */
  readonly site: string;
  readonly chain: string;
  readonly seq: number;
  readonly at: string;
  readonly actor: { readonly kind: string; readonly id: string | null };
  readonly action: string;
  readonly vault_id: string | null;
  readonly item_id: string | null;
  readonly address: string | null;
  readonly result: string;
  readonly hash: string;
};

/** `next_cursor` is null on the last page. A page may be shorter than its limit, or empty, and not be the last. */
export type AuditListAnswer = {
  readonly records: readonly AuditRecordAnswer[];
  readonly next_cursor: string | null;
};
