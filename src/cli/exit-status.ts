import type { ErrorCode } from "../core/errors.ts";

/** What the command's exit tells a script; docs/ERRORS.md lists the codes of each. */
export const exitStatus = {
  done: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  unauthorized: 5,
  unknown: 6,
  conflict: 7,
  readOnly: 8,
} as const;

export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

const { failed, usage, refused, unreachable, unauthorized, unknown, conflict, readOnly } = exitStatus;

/** Codes that are neither a mere failure (1) nor told apart by the start of their name. */
const statusOfCode: Readonly<Partial<Record<ErrorCode, ExitStatus>>> = {
  usage,
  config_invalid: refused,
  file_exposed: refused,
  port_in_use: refused,
  runtime_unsupported: refused,
  unreachable,
  unauthorized,
  forbidden: unauthorized,
  login_failed: unauthorized,
  other_vault: unauthorized,
  vault_unknown: unknown,
  entry_unknown: unknown,
  version_unknown: unknown,
  totp_missing: unknown,
  operator_unknown: unknown,
  access_unknown: unknown,
  route_unknown: unknown,
  peer_unknown: unknown,
  stranded_unknown: unknown,
  stale_match: conflict,
  entry_exists: conflict,
  entry_in_trash: conflict,
  access_exists: conflict,
  access_limit: conflict,
  last_owner: conflict,
  snapshot_invalid: refused,
  file_exists: conflict,
  already_primary: conflict,
  grant_open: conflict,
  grant_declined: conflict,
  grant_unmet: conflict,
  rows_quarantined: conflict,
  not_proved: conflict,
  not_fenced: conflict,
  not_behind: conflict,
  reapply_refused: conflict,
  stranded_unreadable: conflict,
  invite_malformed: usage,
  invite_unknown: unknown,
  invite_refused: unauthorized,
  pairing_failed: conflict,
  invite_open: conflict,
  site_not_empty: conflict,
  peer_exists: conflict,
  rotation_unmet: conflict,
  read_only_backup: readOnly,
  site_fenced: readOnly,
  primary_behind: readOnly,
};

/** The exit status of a refusal: every `data_…` and `database_…` code is a refusal by the data folder. */
export function exitStatusOf(code: ErrorCode): ExitStatus {
  if (code.startsWith("data_") || code.startsWith("database_")) return refused;
  return statusOfCode[code] ?? failed;
}
