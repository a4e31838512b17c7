import type { EditionReply } from "../../core/edition.ts";
import type { SiteName } from "../../core/ids.ts";
import type { RepairCursor, RepairReply, RepairRequest, RepairStep } from "../../core/ports.ts";
import { type Receiver, samePoint } from "../../core/push.ts";
import type { RowSummary } from "../../core/repair.ts";
import type { Row, RowKey } from "../../core/row.ts";
import type { RepairGuard } from "../../core/store/repair.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import { decodeRepair, encodeRepairReply } from "../../protocol/repair-frames.ts";
import { identityOf } from "../identity.ts";
import { admit, readFrame, refusalReply } from "./admission.ts";
import { answerBytesMax } from "./answer-rows.ts";

/** Rows that one answer lists without their bodies. */
const listedRowsMax = 2_000;

/**
 * Answers one step of a repair that the primary drives. Every step is refused unless this site stands exactly where the
 * primary believes it to, in the primary's epoch; then the step is repeated later, or not at all, and nothing has changed.
 * @throws Refusal `invalid_request`, `unauthorized`; the store's for a failing disk
 */
export async function receiveRepair(
  store: Transacts<"repair" | "site"> & Pick<Store, "survey">,
  peer: SiteName,
  body: unknown,
): Promise<EditionReply> {
  const request = await readFrame(store, decodeRepair(body));
  if ("status" in request) return request;
  const admitted = await admit(store, peer, request.from);
  if ("status" in admitted) return admitted;
  if (request.step === "apply") return apply(store, request);
  const { code, receiver } = await store.transact((tx) => tx.repair.judge(guardOf(request)));
  if (code) return refusalReply(code, receiver);
  return read(store, request, receiver);
}

function guardOf({ from, at }: RepairRequest): RepairGuard {
  return { from, at };
}

async function apply(
  store: Transacts<"repair"> & Pick<Store, "survey">,
  request: RepairRequest & { readonly step: "apply" },
): Promise<EditionReply> {
  const outcome = await store.transact((tx) =>
    tx.repair.apply(guardOf(request), request.rows, request.remove),
  );
  if (outcome.kind === "refused") return refusalReply(outcome.code, outcome.receiver);
  const { receiver, replaced, removed, refused } = outcome;
  return { status: 200, body: encodeRepairReply(receiver, { step: "apply", replaced, removed, refused }) };
}

async function read(
  store: Transacts<"repair" | "site"> & Pick<Store, "survey">,
  request: RepairRequest & { readonly step: Exclude<RepairStep["step"], "apply"> },
  receiver: Receiver,
): Promise<EditionReply> {
  if (request.step === "recount") {
    const { head, buckets, damaged, rows } = await store.survey.recount();
    // A push in between has moved the watermark: what was counted is not what the primary asked for.
    if (!samePoint(head, request.at))
      return refusalReply("resume", identityOf(await store.read((r) => r.site.record())));
    return answer(receiver, { step: "recount", buckets: buckets.bytes, damaged, rows });
  }
  if (request.step === "fetch") {
    return answer(receiver, { step: "fetch", rows: await fetch(store, request.keys) });
  }
  return answer(receiver, await list(store, request.buckets, request.after));
}

function answer(receiver: Receiver, reply: RepairReply): EditionReply {
  return { status: 200, body: encodeRepairReply(receiver, reply) };
}

async function list(
  store: Transacts<"repair"> & Pick<Store, "survey">,
  buckets: readonly number[],
  after: RepairCursor | null,
): Promise<RepairReply> {
  const rows: RowSummary[] = [];
  for (const bucket of buckets.toSorted((a, b) => a - b)) {
    if (after && bucket < after.bucket) continue;
    const behind = after?.bucket === bucket ? after.key : null;
    const limit = listedRowsMax - rows.length;
    const found = await store.survey.bucketRows(bucket, behind, limit);
    rows.push(...found);
    const last = found.at(-1);
    if (last && found.length === limit) return { step: "list", rows, next: { bucket, key: last.key } };
  }
  return { step: "list", rows, next: null };
}

/** One row at a time: what a key's body weighs is known only when it is read. */
async function fetch(
  store: Transacts<"repair"> & Pick<Store, "survey">,
  keys: readonly RowKey[],
): Promise<readonly Row[]> {
  const fetched: Row[] = [];
  let bytes = 0;
  for (const key of keys) {
    const [row] = await store.read((r) => r.repair.rowsOf([key]));
    if (!row) continue;
    bytes += row.body?.length ?? 0;
    if (fetched.length > 0 && bytes > answerBytesMax) break;
    fetched.push(row);
  }
  return fetched;
}
