import { type BackoffPolicy, waitMs } from "../core/backoff.ts";
import type { EditionReply } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { SiteName } from "../core/ids.ts";
import type { Clock, Random, Transport } from "../core/ports.ts";
import type { Transacts } from "../core/store/store.ts";
import { decodeHello, encodeHelloReply } from "../protocol/identity-frames.ts";
import { readFrame, refusalReply } from "./backup/admission.ts";
import { identityOf } from "./identity.ts";

export type HelloOptions = {
  readonly peer: SiteName;
  readonly store: Transacts<"site">;
  readonly transport: Transport;
  readonly publicUrl: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly backoff: BackoffPolicy;
  readonly abort: AbortSignal;
  /** A fault of this site's own disk: for the log. */
  readonly onFault: (error: unknown) => void;
};

/**
 * Says hello to one peer, again and again with the worker's waits, until it is answered once: a backup does so at its start,
 * so that a healed outage or a disk put back is noticed without a write. The one timer that may run with nothing dirty, and
 * only until the peer has been reached.
 */
export async function sayHello(options: HelloOptions): Promise<void> {
  const { clock, random, backoff, abort } = options;
  for (let failures = 1; !abort.aborted; failures += 1) {
    if (await isAnswered(options)) return;
    await clock.sleep(waitMs(backoff, failures, random), abort);
  }
}

/** One attempt. A fault of this site's own disk ends the attempt like one of the network, and never the attempts. */
async function isAnswered({
  peer,
  store,
  transport,
  publicUrl,
  abort,
  onFault,
}: HelloOptions): Promise<boolean> {
  try {
    const own = identityOf(await store.read((r) => r.site.record()));
    const answer = await transport.hello(own, publicUrl, abort);
    if (answer.kind !== "answered" && answer.kind !== "refused") return false;
    const { identity } = answer;
    if (identity?.site !== peer) return false;
    if (identity.realm === own.realm) await store.transact((tx) => tx.site.recordEpoch(identity.epoch));
    return true;
  } catch (error) {
    onFault(error);
    return false;
  }
}

/**
 * Answers a peer's hello: records a higher epoch and changes nothing else. `onHello` is called for a peer of this realm, or of
 * none yet, so that a primary pushes to it once even with nothing dirty.
 * @throws Refusal `invalid_request` for a frame that cannot be read
 */
export async function receiveHello(
  store: Transacts<"site">,
  peer: SiteName,
  body: unknown,
  onHello: () => void,
): Promise<EditionReply> {
  const hello = await readFrame(store, decodeHello(body));
  if ("status" in hello) return hello;
  if (hello.identity.site !== peer) throw new Refusal("unauthorized");
  const site = await store.read((r) => r.site.record());
  const theirs = hello.identity.realm;
  if (theirs !== null && site.realm !== null && theirs !== site.realm) {
    return refusalReply("other_realm", identityOf(site));
  }
  // An empty backup has no realm yet, and the epochs of one that it may never join are no measure for it.
  if (theirs !== null && theirs === site.realm)
    await store.transact((tx) => tx.site.recordEpoch(hello.identity.epoch));
  onHello();
  const now = await store.read((r) => r.site.record());
  const reply = {
    timeline: await store.read((r) => r.site.timeline()),
    verifiedAt: now.verified?.at ?? null,
  };
  return { status: 200, body: encodeHelloReply(identityOf(now), reply) };
}
