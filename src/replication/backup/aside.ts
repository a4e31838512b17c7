import type { EditionReply } from "../../core/edition.ts";
import { compareEpochs, isReignOfAnother, type Promotion } from "../../core/epoch.ts";
import type { SiteName } from "../../core/ids.ts";
import type { AsideReply, AsideStep } from "../../core/ports.ts";
import type { Identity, PushRefusal } from "../../core/push.ts";
import type { Site } from "../../core/store/site.ts";
import type { Transacts } from "../../core/store/store.ts";
import { decodeAside, encodeAsideReply } from "../../protocol/aside-frames.ts";
import { identityOf } from "../identity.ts";
import { admit, readFrame, refusalReply } from "./admission.ts";
import { answerRows } from "./answer-rows.ts";

/**
 * Shows the primary what this backup has put aside, and takes its decisions. Only the primary of this very epoch may decide:
 * what one strikes that was superseded may be missing from the history that won.
 * @throws Refusal `invalid_request`, `unauthorized`; the store's for a failing disk
 */
export async function receiveAside(
  store: Transacts<"aside" | "site">,
  peer: SiteName,
  body: unknown,
): Promise<EditionReply> {
  const request = await readFrame(store, decodeAside(body));
  if ("status" in request) return request;
  const { identity, step } = request;
  const admitted = await admit(store, peer, identity);
  if ("status" in admitted) return admitted;
  const code = judge(admitted.site, await store.read((r) => r.site.timeline()), identity);
  if (code) return refusalReply(code, identityOf(admitted.site));
  const reply = await perform(store, step);
  return { status: 200, body: encodeAsideReply(identityOf(await store.read((r) => r.site.record())), reply) };
}

function judge(
  { role, epoch, epochSeen }: Site,
  timeline: readonly Promotion[],
  { site, epoch: sender }: Identity,
): PushRefusal | undefined {
  if (isReignOfAnother(timeline, sender, site)) return "other_primary";
  if (compareEpochs(sender, epochSeen) < 0) return "stale_epoch";
  if (role !== "backup") return "not_a_backup";
  // It stands in an older epoch: the sender has to push first.
  return compareEpochs(sender, epoch) > 0 ? "resume" : undefined;
}

async function perform(store: Transacts<"aside">, step: AsideStep): Promise<AsideReply> {
  if (step.step === "settle") {
    await store.transact((tx) => tx.aside.settle(step.struck, step.taken));
    return { rows: [], waiting: (await store.read((r) => r.aside.waiting(1))).waiting };
  }
  const { rows, waiting } = await store.read((r) => r.aside.waiting(step.limit));
  return { rows: answerRows(rows, (row) => row.body?.length ?? 0), waiting };
}
