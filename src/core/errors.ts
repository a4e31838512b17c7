/**
 * Every refusal that Dormouse knows: what it means, what would be right, whether the same request can go through later. The
 * HTTP status of each stands in src/http/problem-status.ts, and docs/ERRORS.md is generated from this list.
 */
export const errorCodes = {
  // requests
  malformed_json: { meaning: "The body is not JSON.", remedy: "Send one JSON value in UTF-8.", retry: false },
  invalid_request: {
    meaning: "A field is missing, unknown or of the wrong type; `errors` names the paths.",
    remedy: "Correct the named fields.",
    retry: false,
  },
  unsupported_media_type: {
    meaning: "The body's content type is not one this call takes.",
    remedy: "Send `Content-Type: application/json`.",
    retry: false,
  },
  body_too_large: {
    meaning: "The body is larger than this call takes.",
    remedy: "Keep an entry under 256 KiB and an import under 16 MiB.",
    retry: false,
  },
  route_unknown: {
    meaning: "There is no such call.",
    remedy: "See the README for the calls there are.",
    retry: false,
  },
  method_not_allowed: {
    meaning: "This address is there, but does not take this method.",
    remedy: "Use a method that `Allow` in the answer names.",
    retry: false,
  },
  // who asks
  unauthorized: {
    meaning: "The token is missing, mistyped, unknown or expired.",
    remedy: "Send `Authorization: Bearer` with a valid token.",
    retry: false,
  },
  forbidden: {
    meaning: "The token is valid, but its scope does not cover this call.",
    remedy: "Use a token of the scope that the detail names.",
    retry: false,
  },
  other_vault: {
    meaning: "The token belongs to another vault.",
    remedy: "Use a token of this vault.",
    retry: false,
  },
  // things
  vault_unknown: { meaning: "There is no such vault.", remedy: "Check the vault's id.", retry: false },
  entry_unknown: { meaning: "There is no such entry.", remedy: "Check the entry's id.", retry: false },
  entry_exists: {
    meaning: "An entry of this id exists with other content.",
    remedy: "Choose another id, or change the entry with PUT or PATCH.",
    retry: false,
  },
  entry_in_trash: {
    meaning: "The entry is in the trash.",
    remedy: "Restore it first.",
    retry: false,
  },
  version_unknown: {
    meaning: "The entry has no such earlier version.",
    remedy: "List its versions; only the newest are kept.",
    retry: false,
  },
  totp_missing: {
    meaning: "The entry has no field with a one-time key.",
    remedy: "Add a field of kind `totp`.",
    retry: false,
  },
  // keys
  operator_unknown: {
    meaning: "The site has no such operator's token.",
    remedy: "`dormouse operator list` shows what there is.",
    retry: false,
  },
  access_unknown: {
    meaning: "The vault has no such access.",
    remedy: "Check the access's id.",
    retry: false,
  },
  access_exists: {
    meaning: "This person has an access to the vault already.",
    remedy: "Revoke it first, or choose another login.",
    retry: false,
  },
  access_limit: {
    meaning: "The vault has 1,000 accesses already.",
    remedy: "Revoke some that nobody uses; `dormouse access list` says when each was used last.",
    retry: false,
  },
  access_forged: {
    meaning: "The access's row was changed by somebody who does not have the vault's key.",
    remedy: "Compare the sites with `dormouse verify`; revoke the access and make a new one.",
    retry: false,
  },
  last_owner: {
    meaning: "The vault would be left without an owner whose access does not expire.",
    remedy: "Add another owner without expiry first.",
    retry: false,
  },
  write_raced: {
    meaning: "The vault was changed by others while the request was under way, again and again.",
    remedy: "Repeat the request.",
    retry: true,
  },
  sealed_truncated: {
    meaning: "The sealed body of an entry is cut off.",
    remedy: "Run `dormouse verify`: a peer's intact row replaces it.",
    retry: false,
  },
  sealed_swapped: {
    meaning: "The sealed body stored here belongs to another entry, vault or version.",
    remedy: "Run `dormouse verify`; if both sites say so, somebody who can write the disk exchanged it.",
    retry: false,
  },
  sealed_tampered: {
    meaning: "The sealed body of an entry was changed by somebody who does not have the vault's key.",
    remedy: "Run `dormouse verify`: a peer's intact row replaces it. Earlier versions can be restored.",
    retry: false,
  },
  sealed_older: {
    meaning: "The entry stands at an older version than its own history.",
    remedy: "Compare with the other site; restore the newest of its versions.",
    retry: false,
  },
  sealed_key_unknown: {
    meaning: "The body is sealed under a key that the vault does not hold.",
    remedy:
      "It was written on a site whose key was changed apart from this one's; see the manual on rotation.",
    retry: false,
  },
  passphrase_weak: {
    meaning: "The passphrase could be guessed.",
    remedy: "Leave it away and let one be made, or choose one of at least six unrelated words.",
    retry: false,
  },
  passphrase_parameters: {
    meaning: "The stored way of making a key of this passphrase is weaker, or costs more, than is taken.",
    remedy: "Have an owner revoke the access and make a new one.",
    retry: false,
  },
  login_failed: {
    meaning: "There is no such login, or the passphrase is wrong.",
    remedy: "Check both. After failures each answer takes longer; nobody is locked out.",
    retry: false,
  },
  stale_match: {
    meaning: "The entry has changed since the version that If-Match names.",
    remedy: "Read it again and repeat the change on what it is now.",
    retry: false,
  },
  // roles
  read_only_backup: {
    meaning: "This site is a backup and takes no client writes.",
    remedy: "Write to the primary that X-Primary-Location names.",
    retry: true,
  },
  site_fenced: {
    meaning: "This site is fenced: another history may be newer than its own.",
    remedy: "Write to the primary; `dormouse status` on this site says why it is fenced.",
    retry: true,
  },
  // replication
  other_realm: {
    meaning: "The two sites belong to different installations.",
    remedy:
      "Pair only sites of one installation; a backup takes its realm from the first primary that fills it.",
    retry: false,
  },
  other_primary: {
    meaning: "The sender acts as primary of an epoch to which another site was promoted.",
    remedy:
      "See `dormouse status` on every site: one of them acts on a role, or under a name, that is not its own.",
    retry: false,
  },
  stale_epoch: {
    meaning: "The sender's epoch is lower than one this site has seen.",
    remedy: "The sender is no longer primary; let it rejoin.",
    retry: false,
  },
  not_a_backup: {
    meaning: "A push arrived at a site that is not a backup.",
    remedy: "Two sites act as primary: check their roles with `dormouse status`.",
    retry: false,
  },
  protocol_unsupported: {
    meaning: "The sender speaks a replication protocol that this program does not.",
    remedy: "Upgrade the backup first, then the primary.",
    retry: false,
  },
  forked: {
    meaning: "This backup holds changes that the sender's history does not.",
    remedy: "Run `dormouse rejoin` on this site.",
    retry: false,
  },
  resume: {
    meaning: "The push does not continue from where this backup stands.",
    remedy: "The primary continues from the position named in the answer; nobody needs to act.",
    retry: true,
  },
  // promotion and coming home
  already_primary: {
    meaning: "This site is the primary already.",
    remedy: "Nothing is to be done here.",
    retry: false,
  },
  grant_open: {
    meaning: "This primary has promised to hand over to another site.",
    remedy: "Finish that promotion, or take the promise back with `dormouse promote` on this site.",
    retry: true,
  },
  grant_declined: {
    meaning: "This grant was given back and can never be used.",
    remedy: "Run `dormouse promote` again: it asks for a new one.",
    retry: false,
  },
  grant_unmet: {
    meaning: "This site does not hold exactly what the grant names.",
    remedy: "Wait until everything has arrived, or see `dormouse status`.",
    retry: true,
  },
  rows_quarantined: {
    meaning: "The backup refuses rows, which would be missing after a promotion; `errors` names them.",
    remedy: "Change or delete these rows first, or promote with --force.",
    retry: false,
  },
  not_proved: {
    meaning: "This site is not proved equal to the primary.",
    remedy: "Run `dormouse verify` on the primary; `dormouse promote --force` promotes all the same.",
    retry: true,
  },
  winner_unknown: {
    meaning: "No peer that answers is a primary of a newer epoch.",
    remedy: "Promote a site first, or bring the primary's link back.",
    retry: true,
  },
  not_fenced: {
    meaning: "This site is neither fenced nor on another history: it has nowhere to come home to.",
    remedy: "`dormouse status` shows how it stands.",
    retry: false,
  },
  primary_behind: {
    meaning: "This primary was put back to an older copy; a backup holds later changes.",
    remedy: "Run `dormouse recover` on this site.",
    retry: false,
  },
  not_behind: {
    meaning: "This site is not fenced as `primary_behind`: there is nothing to recover.",
    remedy: "`dormouse status` shows how it stands.",
    retry: false,
  },
  peer_unknown: {
    meaning: "No peer of this name is configured.",
    remedy: "See `replication.peers` in the configuration.",
    retry: false,
  },
  stranded_unknown: {
    meaning: "There is no such stranded row, or it was settled already.",
    remedy: "`dormouse stranded list` shows what there is.",
    retry: false,
  },
  reapply_refused: {
    meaning:
      "The stranded row may not come back as it is: it was purged or revoked since, something newer is in its place, or the vault's key was changed.",
    remedy:
      "Read it with `dormouse stranded show` or, where it is sealed, reapply it with a token of the vault; or make a new one of it, and discard it.",
    retry: false,
  },
  stranded_unreadable: {
    meaning: "What the stranded row keeps cannot be read.",
    remedy: "Upgrade this site if a newer one wrote it; otherwise discard it.",
    retry: false,
  },
  // pairing
  invite_malformed: {
    meaning: "What was given is no code of an invitation.",
    remedy: "Copy the whole word that `dormouse peer invite` printed.",
    retry: false,
  },
  invite_unknown: {
    meaning: "No invitation is open here: it was used, has ended, or was never made.",
    remedy: "Run `dormouse peer invite` on the primary, and use its code within 15 minutes.",
    retry: false,
  },
  invite_refused: {
    meaning: "The code is not the one of the open invitation, or what was sent was changed on its way.",
    remedy: "Copy the code again; five failures end an invitation.",
    retry: false,
  },
  invite_declined: {
    meaning: "The operator of the primary has declined.",
    remedy: "Ask the operator, and have another invitation made.",
    retry: false,
  },
  pairing_failed: {
    meaning: "The code was right, but the primary could not take the site that joins as its peer.",
    remedy:
      "`dormouse peer invite` on the primary says why. Correct it there, and join once more; where the invitation has ended, with another.",
    retry: false,
  },
  invite_open: {
    meaning: "An invitation is open at this site already.",
    remedy: "Use its code, or end it with Ctrl-C where it was made.",
    retry: true,
  },
  site_not_empty: {
    meaning:
      "This site holds data or belongs to an installation already, and only an empty backup can join another.",
    remedy: "Move its data folder away and run `dormouse init --role backup`.",
    retry: false,
  },
  peer_exists: {
    meaning: "A peer of this name is configured already.",
    remedy:
      "`dormouse peer list` shows it; remove it first, or change its secret with `dormouse peer rotate`.",
    retry: false,
  },
  rotation_unmet: {
    meaning: "The two sites do not hold the same secrets of their pair.",
    remedy: "Run `dormouse peer rotate` once more, and then on the other site; else pair the two again.",
    retry: true,
  },
  // the site and its disk
  not_ready: {
    meaning: "The site cannot do its role's work; `reasons` says why.",
    remedy: "See the reasons, and `dormouse status` on this site.",
    retry: true,
  },
  busy: { meaning: "The site has too much to do just now.", remedy: "Try again in a moment.", retry: true },
  shutting_down: { meaning: "The site is stopping.", remedy: "Try again when it is back.", retry: true },
  disk_full: {
    meaning: "The disk is full, or has less room than `disk_free_min_bytes`.",
    remedy: "Free room on the disk of the data folder.",
    retry: true,
  },
  storage_failed: {
    meaning: "The database could not be read or written.",
    remedy: "See the site's log; run `dormouse doctor`.",
    retry: true,
  },
  data_missing: {
    meaning: "The data folder holds no site.",
    remedy: "Run `dormouse init` first, or name the right folder.",
    retry: false,
  },
  data_exists: {
    meaning: "The data folder holds a site already.",
    remedy: "Name an empty folder, or use the site that is there.",
    retry: false,
  },
  data_of_other_site: {
    meaning: "The data folder belongs to another site than the configuration names.",
    remedy: "Correct `site` or `data` in the configuration.",
    retry: false,
  },
  data_replaced: {
    meaning: "The database's file was moved, deleted or replaced while the site was running.",
    remedy: "Start the site again. Stop it before its data folder is put back.",
    retry: false,
  },
  data_in_use: {
    meaning: "Another process uses the data folder.",
    remedy: "Stop it first.",
    retry: true,
  },
  database_corrupt: {
    meaning: "The database is damaged or truncated.",
    remedy: "Keep the file, restore a snapshot or refill this site from its peer.",
    retry: false,
  },
  database_newer: {
    meaning: "The database was written by a newer Dormouse.",
    remedy: "Start the newer program.",
    retry: false,
  },
  // snapshots
  snapshot_invalid: {
    meaning: "The file is no snapshot of a site, or is damaged.",
    remedy:
      "Name a file that `dormouse snapshot create` has written; compare its SHA-256 with what was printed.",
    retry: false,
  },
  file_exists: {
    meaning: "The file exists, and is never overwritten.",
    remedy: "Name a new file.",
    retry: false,
  },
  file_unusable: {
    meaning: "A file that was named cannot be read or written.",
    remedy: "Name one in a folder that the site's user can use.",
    retry: false,
  },
  // the machine
  config_invalid: {
    meaning: "The configuration file has mistakes; each is named with its line.",
    remedy: "Correct what is named; `--config` names another file.",
    retry: false,
  },
  file_exposed: {
    meaning: "A file with a secret is readable by others.",
    remedy: "chmod 600 it.",
    retry: false,
  },
  port_in_use: {
    meaning: "Another process listens on the configured port.",
    remedy: "Stop it, or choose another `listen.port`.",
    retry: true,
  },
  runtime_unsupported: {
    meaning: "This Node is too old.",
    remedy: "Use Node 24 or newer; `npm ci` in the checkout brings one.",
    retry: false,
  },
  unreachable: {
    meaning: "The site did not answer.",
    remedy: "Check its address, that it runs, and the network between.",
    retry: true,
  },
  usage: { meaning: "The command was called wrongly.", remedy: "See `--help`.", retry: false },
  internal: {
    meaning: "A bug in Dormouse.",
    remedy: "Report it with the request id and the log.",
    retry: false,
  },
} as const satisfies Record<string, { meaning: string; remedy: string; retry: boolean }>;

export type ErrorCode = keyof typeof errorCodes;

/** One mistake in a request or a file: where it is and what would be right. Never holds the value itself. */
export type Mistake = { readonly path: string; readonly message: string };

/**
 * An expected refusal: it has a code, is shown to whoever asked, and has changed nothing. Everything else that is thrown is a
 * bug or a fault of the machine.
 */
export class Refusal extends Error {
  readonly code: ErrorCode;
  readonly mistakes: readonly Mistake[];

  /** @param detail what exactly is wrong here; names paths and ids, never values or secrets. */
  constructor(code: ErrorCode, detail?: string, mistakes: readonly Mistake[] = []) {
    super(detail ?? errorCodes[code].meaning);
    this.name = "Refusal";
    this.code = code;
    this.mistakes = mistakes;
  }
}
