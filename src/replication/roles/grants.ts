import type { EditionReply } from "../../core/edition.ts";
import { isReignOfAnother } from "../../core/epoch.ts";
import { type ErrorCode, Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { GrantMessage } from "../../core/ports.ts";
import type { Identity } from "../../core/push.ts";
import {
  decodeGrantRequest,
  encodeGrantReply,
  type GrantRequest,
  type GrantResult,
} from "../../protocol/role-frames.ts";
import { admit, readFrame, refusalReply } from "../backup/admission.ts";
import { identityOf } from "../identity.ts";
import type { PeerLink } from "../peer-link.ts";
import { errorOf } from "./peer-views.ts";
import { persist } from "./persist.ts";
import type { RolePorts } from "./role-ports.ts";

/** What a peer may be told of a refusal, with this site's name beside it; everything else is a fault of this site. */
const answeredRefusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "other_primary",
  "read_only_backup",
  "site_fenced",
  "peer_unknown",
  "grant_open",
  "rows_quarantined",
  "grant_unmet",
  "grant_declined",
  "not_proved",
]);

/**
 * Answers what another site says of a grant: the design, section 8. Each message may be repeated, and is answered with what was
 * recorded the first time.
 * @throws Refusal `invalid_request`, `unauthorized`; the store's for a failing disk
 */
export async function receiveGrant(ports: RolePorts, peer: SiteName, body: unknown): Promise<EditionReply> {
  const { store } = ports;
  const request = await readFrame(store, decodeGrantRequest(body));
  if ("status" in request) return request;
  const admitted = await admit(store, peer, request.identity);
  if ("status" in admitted) return admitted;
  try {
    const result = await perform(ports, peer, request);
    return {
      status: 200,
      body: encodeGrantReply(identityOf(await store.read((r) => r.site.record())), result),
    };
  } catch (error) {
    if (!(error instanceof Refusal) || !answeredRefusals.has(error.code)) throw error;
    const names = error.mistakes.map(({ path }) => path).join(", ");
    const detail = names === "" ? error.message : `${error.message}: ${names}`;
    return refusalReply(error.code, identityOf(await store.read((r) => r.site.record())), detail);
  }
}

async function perform(
  ports: RolePorts,
  peer: SiteName,
  { identity, message }: GrantRequest,
): Promise<GrantResult> {
  const { store, workers, keeper, applied } = ports;
  switch (message.action) {
    case "request": {
      const grant = await store.transact((tx) => tx.roles.grant(peer));
      // What it lacks is shipped, and even with nothing dirty it needs the proof of this very head.
      workers.hello(peer);
      return { grant, answer: null };
    }
    case "declined":
      await store.transact((tx) => tx.roles.endGrant(message.grantId, "declined"));
      return { grant: null, answer: "declined" };
    case "revoke": {
      const answer = await store.transact((tx) =>
        tx.roles.decline(message.grantId, { site: peer, epoch: identity.epoch }),
      );
      // Who waits for the head here waits in vain.
      applied.tell();
      return { grant: null, answer };
    }
    case "take":
      // A grant is its primary's own promise, and nobody else's to pass on.
      if (isReignOfAnother(await store.read((r) => r.site.timeline()), message.grant.epoch, peer)) {
        throw new Refusal("other_primary");
      }
      await store.transact((tx) => tx.roles.promoteBy(message.grant, false));
      void keeper.look();
      return { grant: message.grant, answer: "promoted" };
  }
}

/** Asks a peer about a grant, in this site's name as it is now. */
export async function sendGrant(
  { store }: Pick<RolePorts, "store">,
  { transport }: PeerLink,
  message: GrantMessage,
  signal: AbortSignal,
): ReturnType<PeerLink["transport"]["grant"]> {
  const own: Identity = identityOf(await store.read((r) => r.site.record()));
  return transport.grant(own, message, signal);
}

/**
 * Tells the primary that its grant was given back, until it has heard: before that it takes no writes. Returns whether it has
 * heard at the first attempt; the others go on beside everything else.
 */
export async function tellDeclined(ports: RolePorts, link: PeerLink, grantId: string): Promise<boolean> {
  const attempt = async (abort: AbortSignal) => {
    const answer = await sendGrant(ports, link, { action: "declined", grantId }, abort);
    // A refusal is an answer too: whatever that site is now, it does not wait for this word.
    return answer.kind === "refused" || errorOf(answer, link) === null;
  };
  const { promise: first, resolve } = Promise.withResolvers<boolean>();
  ports.keeper.errand(async (abort) => {
    await persist(ports, abort, async () => {
      const isHeard = await attempt(abort);
      resolve(isHeard);
      return isHeard ? "done" : "again";
    });
    resolve(false);
  });
  return first;
}
