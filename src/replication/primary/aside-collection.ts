import type { SiteName } from "../../core/ids.ts";
import type { AsideReply, AsideStep, Transport } from "../../core/ports.ts";
import type { Transacts } from "../../core/store/store.ts";
import { asideRowsMax } from "../../protocol/aside-frames.ts";
import { identityOf } from "../identity.ts";
import { type Failure, failureOf, localFailure, meetEpoch, strangerIn } from "./failure.ts";

export type AsideOutcome =
  /** Nothing waits there any more. `written`: this site has changes of its own from it, which are to be shipped. */
  | { readonly kind: "collected"; readonly written: boolean }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "fenced" };

export type AsidePorts = {
  readonly peer: SiteName;
  readonly store: Transacts<"aside" | "site">;
  readonly transport: Transport;
  /** Ends the request in flight. */
  readonly abort: AbortSignal;
  /** Ends the collection after the page in flight. */
  readonly stop: AbortSignal;
};

/**
 * Collects what a backup has put aside and decides on it, page by page: first this site commits what follows, then the backup
 * is told. Cut in between, the same rows come again, and are struck because they are known. A site that is fenced in any way
 * decides nothing: its history may not be the one that wins.
 */
export async function collectAside(ports: AsidePorts): Promise<AsideOutcome> {
  try {
    return await collect(ports);
  } catch (error) {
    return { kind: "failed", failure: localFailure(error) };
  }
}

async function collect(ports: AsidePorts): Promise<AsideOutcome> {
  const { store, stop } = ports;
  let written = false;
  for (;;) {
    if ((await store.read((r) => r.site.record())).fenced !== null || stop.aborted)
      return { kind: "collected", written };
    const listed = await ask(ports, { step: "list", limit: asideRowsMax });
    if (!("waiting" in listed)) return listed;
    if (listed.rows.length === 0) return { kind: "collected", written };
    const verdicts = await store.transact((tx) => tx.aside.take(listed.rows));
    const ids = listed.rows.map(({ id }, index) => ({ id, verdict: verdicts[index] }));
    // What this site has made of a row, stranded or purged anew, is nowhere else until the backup has it by a push.
    const struck = ids.filter(({ verdict }) => verdict === "struck").map(({ id }) => id);
    const taken = ids.filter(({ verdict }) => verdict !== "struck").map(({ id }) => id);
    written ||= verdicts.some((verdict) => verdict !== "struck");
    const settled = await ask(ports, { step: "settle", struck, taken });
    if (!("waiting" in settled)) return settled;
    if (settled.waiting === 0) return { kind: "collected", written };
    // Going on would go round in circles.
    if (settled.waiting >= listed.waiting) {
      return { kind: "failed", failure: { kind: "unreachable", error: "the backup settled nothing" } };
    }
  }
}

async function ask(
  { peer, store, transport, abort }: AsidePorts,
  step: AsideStep,
): Promise<AsideReply | Exclude<AsideOutcome, { readonly kind: "collected" }>> {
  const from = identityOf(await store.read((r) => r.site.record()));
  const answer = await transport.aside(from, step, abort);
  if ("identity" in answer && answer.identity) {
    const stranger = strangerIn(answer.identity, peer, from);
    if (stranger) return { kind: "failed", failure: stranger };
    const superseded = await meetEpoch(store, answer.identity, from);
    if (superseded === "fenced") return { kind: "fenced" };
    if (superseded) return { kind: "failed", failure: superseded };
  }
  return answer.kind === "answered" ? answer : { kind: "failed", failure: failureOf(answer) };
}
