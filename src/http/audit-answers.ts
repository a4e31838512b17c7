import type { AuditPage, AuditPlace } from "../core/store/audit.ts";
import type { Reads } from "../core/store/store.ts";
import { toHex } from "../core/bytes.ts";
import type { AuditListAnswer, AuditRecordAnswer } from "../protocol/answers.ts";
import type { AuditListQuery } from "../protocol/audit-requests.ts";

/** One page of the records of all chains, newest first. */
export async function listAudit(
  store: Reads<"audit">,
  { limit, cursor, vault_id: vaultId }: AuditListQuery,
): Promise<AuditListAnswer> {
  const { records, next } = await store.read((r) =>
    r.audit.page({ limit, before: cursor, vaultId: vaultId ?? null }),
  );
  return { records: records.map(recordAnswer), next_cursor: next ? formatPlace(next) : null };
}

function recordAnswer(record: AuditPage["records"][number]): AuditRecordAnswer {
  const { site, chain, seq, at, actor, action, vaultId, itemId, address, result, hash } = record;
  return {
    site,
    chain,
    seq,
    at: new Date(at).toISOString(),
    actor,
    action,
    vault_id: vaultId,
    item_id: itemId,
    address,
    result,
    hash: toHex(hash),
  };
}

/** The cursor behind a record. */
function formatPlace({ at, chain, seq }: AuditPlace): string {
  return `${at}.${chain}.${seq}`;
}
