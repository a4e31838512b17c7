import { entryKey } from "../../core/entry-writes.ts";
import { Refusal } from "../../core/errors.ts";
import { isUuid, type StrandedId } from "../../core/ids.ts";
import { openStranded, rewriteStranded } from "../../core/stranded.ts";
import type { Answer, Handlers, HttpContext, WriteAnswer } from "../call.ts";
import { commitOpened, commitRow, withOpened } from "../commit.ts";
import { readHistory } from "../entry-history.ts";
import { entryAnswer } from "../row-answers.ts";
import { changedAnswer, type EntryCall, type EntryWriteCall } from "./entries.ts";

type StrandedRoutes = Pick<Handlers, "getStranded" | "reapplyStranded">;

/** What a failover has left over of a vault, for those who can open it; the machine's owner sees only that it is there. */
export function strandedRoutes(context: HttpContext): StrandedRoutes {
  return {
    getStranded: (call) => get(context, call),
    reapplyStranded: (call) => reapply(context, call),
  };
}

async function get({ store }: HttpContext, call: EntryCall): Promise<Answer> {
  const key = strandedKeyOf(call);
  const stranded = await store.read((r) => r.rows.row(key));
  const opened = await withOpened(call.principal.vault, async ({ seal }) => openStranded(seal, stranded));
  return { status: 200, body: { stranded_id: key.strandedId, ...entryAnswer(opened) } };
}

async function reapply(context: HttpContext, call: EntryWriteCall): Promise<WriteAnswer> {
  const { store, clock, keepVersions } = context;
  const strandedKey = strandedKeyOf(call);
  const { vaultId, vault } = call.principal;
  return await commitOpened(vault, async (open, asCaller) => {
    const { seal } = open;
    const { entryId } = openStranded(seal, await store.read((r) => r.rows.row(strandedKey)));
    const key = entryKey({ vaultId, entryId });
    const expiring = await readHistory(store, { vaultId, entryId });
    const history = { keepVersions, expiring };
    const edit = { seal, entryId, match: call.match, now: clock.now(), history, strandedKey };
    return changedAnswer(open, await commitRow(context, call.record, asCaller(rewriteStranded(edit)), key));
  });
}

function strandedKeyOf({ principal, params }: EntryCall) {
  const strandedId = params.strandedId ?? "";
  if (!isUuid(strandedId)) throw new Refusal("stranded_unknown");
  return { kind: "stranded", vaultId: principal.vaultId, strandedId: strandedId as StrandedId } as const;
}
