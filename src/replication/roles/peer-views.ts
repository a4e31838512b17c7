import { compareEpochs, type Promotion } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import type { PeerAnswer } from "../../core/ports.ts";
import { formatPosition } from "../../core/position.ts";
import type { Identity } from "../../core/push.ts";
import type { Site } from "../../core/store/site.ts";
import { identityOf } from "../identity.ts";
import type { PeerLink } from "../peer-link.ts";
import type { RolePorts } from "./role-ports.ts";

/** What a peer has just said of itself, or why it said nothing. */
export type PeerView = {
  readonly link: PeerLink;
  readonly said: { readonly identity: Identity; readonly timeline: readonly Promotion[] } | null;
  readonly error: string | null;
};

/** How long a peer may take to say what it is: one that hangs must not keep an operator from the others. */
const answerMs = 5_000;

/** Says hello to every peer at once. An epoch that is met so is recorded, as everywhere. */
export async function askPeers(ports: RolePorts, signal: AbortSignal): Promise<readonly PeerView[]> {
  const own = identityOf(await ports.store.read((r) => r.site.record()));
  const answered = new AbortController();
  const late = new AbortController();
  void ports.clock.sleep(answerMs, answered.signal).then(() => late.abort());
  const patience = AbortSignal.any([signal, late.signal]);
  const views = await Promise.all(
    ports.peers().map(async (link): Promise<PeerView> => {
      const answer = await link.transport.hello(own, ports.publicUrl, patience);
      const error = errorOf(answer, link);
      if (error === null && answer.kind === "answered") {
        return { link, said: { identity: answer.identity, timeline: answer.timeline }, error };
      }
      return {
        link,
        said: null,
        error: late.signal.aborted ? `does not answer within ${answerMs / 1_000} s` : error,
      };
    }),
  );
  answered.abort();
  for (const { said } of views) {
    if (said && said.identity.realm === own.realm)
      await ports.store.transact((tx) => tx.site.recordEpoch(said.identity.epoch));
  }
  await ports.keeper.look();
  return views;
}

/** Why an answer says nothing that counts; null where it does. */
export function errorOf(answer: PeerAnswer<object>, { site }: Pick<PeerLink, "site">): string | null {
  switch (answer.kind) {
    case "answered":
      return answer.identity.site === site ? null : `${answer.identity.site} answers in its place`;
    case "refused":
      return `refuses: ${answer.detail === "" ? answer.code : answer.detail}`;
    case "unauthorized":
      return "does not take this site's credential";
    case "failed":
      return `does not answer (${answer.error})`;
  }
}

/**
 * The content of an answer that counts.
 * @throws Refusal what the peer refused it with; `unreachable` where it said nothing
 */
export function expectAnswer<T>(
  answer: PeerAnswer<T & object>,
  link: Pick<PeerLink, "site">,
): PeerAnswer<T> & { readonly kind: "answered" } {
  const error = errorOf(answer, link);
  if (error === null && answer.kind === "answered") return answer;
  const text = `${link.site} ${error ?? "does not answer"}`;
  throw new Refusal(answer.kind === "refused" ? answer.code : "unreachable", text);
}

export type Winner = { readonly link: PeerLink; readonly identity: Identity };

/** The primary of the highest epoch among those that answered, where nobody has seen a higher one. */
export function primaryAmong(views: readonly PeerView[], site: Site): Winner | undefined {
  const primaries = views.flatMap(({ link, said }) =>
    said?.identity.role === "primary" && said.identity.realm === site.realm
      ? [{ link, identity: said.identity }]
      : [],
  );
  const [highest] = primaries.toSorted((a, b) => compareEpochs(b.identity.epoch, a.identity.epoch));
  if (!highest || compareEpochs(highest.identity.epoch, site.epochSeen) < 0) return undefined;
  return highest;
}

/** `primary of epoch 2, at 2:17`, or why nothing is known. */
export function describeView({ said, error }: PeerView): string {
  if (!said) return error ?? "does not answer";
  const { role, epoch, applied } = said.identity;
  return `${role} of epoch ${epoch.number}, at ${formatPosition(applied.position)}`;
}
