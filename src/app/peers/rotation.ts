import type { AdminCommand, EditionRoute } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import { newExchangeKey } from "../../crypto/key-agreement.ts";
import { isSameProof } from "../../crypto/pairing.ts";
import { isNext, nextToken, type RotationPart, rotationProof } from "../../crypto/rotation.ts";
import { formatTokenId, type Token } from "../../crypto/token.ts";
import { check } from "../../protocol/check.ts";
import { rotateFields } from "../../protocol/pairing.ts";
import {
  confirmAnswer,
  offerAnswer,
  type RotateConfirm,
  type RotateOffer,
  rotateBytesMax,
  rotatePath,
  rotateProtocol,
  rotateRequest,
} from "../../protocol/rotation.ts";
import type { PeerLinks } from "./peer-links.ts";

export type RotationParts = {
  readonly site: SiteName;
  readonly random: Random;
  readonly links: Pick<PeerLinks, "tokensOf" | "setTokens" | "exchangeWith" | "inTurn">;
};

/** An offer, its confirmation; once more where the other side has lost what was agreed on; and once more for luck. */
const roundsMax = 3;

/**
 * Changes the secret of a pair while both sites work, without a push that is lost:
 *
 * | step | the site that offers holds | the other holds |
 * | --- | --- | --- |
 * | at rest | old | old |
 * | the offer is taken | old | old, new |
 * | its answer has come | new, old | old, new |
 * | the confirmation is taken | new, old | new |
 * | its answer has come | new | new |
 *
 * Each site sends with the first of what it holds, takes either, and sends again with the other what was refused. What it holds
 * is in its token file before anybody is told. From the file alone a site knows what it was doing: a newer secret in front of an
 * older one is to be confirmed, one behind may be replaced by another offer. So an answer that is lost, and a kill at any
 * step, leave a secret that both hold; repeating the command on the site where it was begun finishes what was begun, and
 * elsewhere is refused until then.
 */
export class Rotation {
  readonly #parts: RotationParts;
  readonly #running = new Set<SiteName>();

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  readonly adminCommand: AdminCommand = {
    name: "rotate",
    handle: async ({ body, signal }) => {
      const { peer } = check(rotateFields, body);
      await this.rotate(peer, signal);
      return { peer, rotated: true };
    },
  };

  readonly route: EditionRoute = {
    method: "POST",
    path: rotatePath,
    caller: "peer",
    bodyBytesMax: rotateBytesMax,
    handle: async ({ peer, body }) => {
      if (peer === null) throw new Refusal("unauthorized");
      const request = check(rotateRequest, body);
      const answer =
        request.action === "offer" ? this.#takeOffer(peer, request) : this.#takeConfirm(peer, request);
      return { status: 200, body: await answer };
    },
  };

  /**
   * Resolves when both sites hold the new secret and only that. May be repeated after any failure.
   * @throws Refusal `peer_unknown`, `busy`, `rotation_unmet`, `unreachable`
   */
  async rotate(peer: SiteName, signal: AbortSignal): Promise<void> {
    if (this.#parts.links.tokensOf(peer) === undefined) throw new Refusal("peer_unknown");
    if (this.#running.has(peer))
      throw new Refusal("busy", `the secret with ${peer} is being changed already`);
    this.#running.add(peer);
    try {
      for (let round = 0; round < roundsMax; round += 1) {
        if (!isToConfirm(this.#held(peer))) await this.#offer(peer, signal);
        if (await this.#confirm(peer, signal)) return;
      }
    } finally {
      this.#running.delete(peer);
    }
    throw new Refusal("rotation_unmet");
  }

  async #offer(peer: SiteName, signal: AbortSignal): Promise<void> {
    const { site, random } = this.#parts;
    const held = this.#held(peer);
    const [under] = held;
    const own = newExchangeKey(random);
    const offered = { key: own.shown, nonce: random.bytes(32) };
    const proof = rotationProof(under, "offer", [site, peer, offered.key, offered.nonce]);
    const { status, body } = await this.#post(peer, signal, {
      protocol: rotateProtocol,
      action: "offer",
      under: formatTokenId(under),
      key: hex(offered.key),
      nonce: hex(offered.nonce),
      proof: hex(proof),
    });
    const answered = status === 200 ? offerAnswer.safeParse(body).data : undefined;
    if (answered === undefined) throw refusalOf(peer, status, body);
    const expected = rotationProof(under, "answer", answerParts(site, peer, offered, answered));
    const token = isSameProof(expected, answered.proof)
      ? nextToken({ from: site, to: peer, under, offered, answered }, own, answered.key)
      : undefined;
    if (token === undefined) throw new Refusal("rotation_unmet", `the answer was not ${peer}'s`);
    await this.#exchange(peer, held, [token, under]);
  }

  /** Whether it is done; where the peer has lost the new secret, that is forgotten here too. */
  async #confirm(peer: SiteName, signal: AbortSignal): Promise<boolean> {
    const { site } = this.#parts;
    const held = this.#held(peer);
    const [keep, drop] = held;
    if (drop === undefined)
      throw new Refusal("busy", `the secret with ${peer} was changed by ${peer} meanwhile`);
    const ids = [formatTokenId(keep), formatTokenId(drop)];
    const { status, body } = await this.#post(peer, signal, {
      protocol: rotateProtocol,
      action: "confirm",
      keep: ids[0],
      drop: ids[1],
      proof: hex(rotationProof(keep, "confirm", [site, peer, ...ids])),
    });
    if (status === 409 && codeIn(body) === "rotation_unmet") {
      await this.#exchange(peer, held, [drop]);
      return false;
    }
    const answer = status === 200 ? confirmAnswer.safeParse(body).data : undefined;
    const expected = rotationProof(keep, "confirmed", [peer, site, ...ids]);
    if (answer === undefined || !isSameProof(expected, answer.proof)) throw refusalOf(peer, status, body);
    await this.#exchange(peer, held, [keep]);
    return true;
  }

  /** Only a secret that this site sends with itself can be followed by another: one that is to be confirmed stays. */
  #takeOffer(peer: SiteName, request: RotateOffer): Promise<object> {
    const { site, random, links } = this.#parts;
    return links.inTurn(async () => {
      const [under] = this.#held(peer);
      if (formatTokenId(under) !== request.under) throw new Refusal("rotation_unmet");
      const expected = rotationProof(under, "offer", [peer, site, request.key, request.nonce]);
      if (!isSameProof(expected, request.proof)) throw new Refusal("rotation_unmet");
      const own = newExchangeKey(random);
      const answered = { key: own.shown, nonce: random.bytes(32) };
      const token = nextToken({ from: peer, to: site, under, offered: request, answered }, own, request.key);
      if (token === undefined) throw new Refusal("rotation_unmet");
      await links.setTokens(peer, [under, token]);
      const proof = rotationProof(under, "answer", answerParts(peer, site, request, answered));
      return { key: hex(answered.key), nonce: hex(answered.nonce), proof: hex(proof) };
    });
  }

  #takeConfirm(peer: SiteName, { keep, drop, proof }: RotateConfirm): Promise<object> {
    const { site, links } = this.#parts;
    return links.inTurn(async () => {
      const held = this.#held(peer);
      const token = held.find((candidate) => formatTokenId(candidate) === keep);
      const expected = token && rotationProof(token, "confirm", [peer, site, keep, drop]);
      if (token === undefined || expected === undefined || !isSameProof(expected, proof)) {
        throw new Refusal("rotation_unmet");
      }
      // In front it was confirmed before, and what stands behind it now is a later matter.
      if (held[0] !== token) {
        if (formatTokenId(held[0]) !== drop) throw new Refusal("rotation_unmet");
        await links.setTokens(peer, [token]);
      }
      return { proof: hex(rotationProof(token, "confirmed", [site, peer, keep, drop])) };
    });
  }

  /** Changes what is held, unless a message of the peer has changed it meanwhile. */
  #exchange(peer: SiteName, before: Held, after: readonly Token[]): Promise<void> {
    const { links } = this.#parts;
    return links.inTurn(async () => {
      if (!isSameHeld(this.#held(peer), before)) {
        throw new Refusal("busy", `the secret with ${peer} was changed by ${peer} meanwhile`);
      }
      await links.setTokens(peer, after);
    });
  }

  #held(peer: SiteName): Held {
    const [first, second] = this.#parts.links.tokensOf(peer) ?? [];
    if (first === undefined) throw new Refusal("peer_unknown");
    return second === undefined ? [first] : [first, second];
  }

  async #post(peer: SiteName, signal: AbortSignal, request: object) {
    const exchange = this.#parts.links.exchangeWith(peer);
    if (exchange === undefined) throw new Refusal("peer_unknown");
    try {
      return (await exchange.post(rotatePath, JSON.stringify(request), signal)).reply;
    } catch (error) {
      const reason = error instanceof Error ? error.message : "no answer";
      throw new Refusal("unreachable", `${peer} did not answer: ${reason}; the command may be repeated`);
    }
  }
}

/** The secret to send with; and while it is being changed, another that is taken too. */
type Held = readonly [Token] | readonly [Token, Token];

/** A newer secret in front: this site has the answer to its offer, and the peer may have heard of that. */
function isToConfirm([first, second]: Held): boolean {
  return second !== undefined && isNext(first, second);
}

function isSameHeld(a: Held, b: Held): boolean {
  const idsOf = (held: Held): string => held.map(formatTokenId).join();
  return idsOf(a) === idsOf(b);
}

function answerParts(from: SiteName, to: SiteName, offered: RotationPart, answered: RotationPart) {
  return [from, to, offered.key, offered.nonce, answered.key, answered.nonce];
}

function refusalOf(peer: SiteName, status: number, body: unknown): Refusal {
  const code = codeIn(body);
  if (code === "rotation_unmet")
    return new Refusal(code, `${peer} does not hold the same secrets, or has begun itself`);
  if (status === 401) return new Refusal("rotation_unmet", `${peer} takes no secret that this site holds`);
  return new Refusal("unreachable", `${peer} answered ${status}; the command may be repeated`);
}

function codeIn(body: unknown): unknown {
  return typeof body === "object" && body !== null && "code" in body ? body.code : undefined;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
