import type { AdminRequest } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { type ExchangeKey, newExchangeKey } from "../../crypto/key-agreement.ts";
import { formatInviteCode } from "../../crypto/invite-code.ts";
import { isSameProof, type PairingOutcome, type PairingParty, pairingOutcome } from "../../crypto/pairing.ts";
import { formatToken } from "../../crypto/token.ts";
import type { InviteFailure, InviteOpened, InviteQuestion, PairingProve } from "../../protocol/pairing.ts";
import type { CertificateChecks, PeerPin } from "../certificates.ts";
import type { NewPeer } from "./peer-files.ts";

const inviteMs = 15 * 60_000;
const failuresMax = 5;

export type InvitationPorts = {
  readonly clock: Clock;
  readonly random: Random;
  /** What this site shows of itself. */
  readonly self: { readonly site: SiteName; readonly url: string; readonly fingerprint: string | null };
  /** How it would be written down, and the peer of its name that is configured already; refuses one that could not be. */
  readonly judge: (peer: Omit<NewPeer, "token">) => Promise<Judgement>;
  /** Writes the peer down and has replication take it over. May be repeated. */
  readonly admit: (peer: NewPeer) => Promise<void>;
};

/** What a site of the same name would take the place of. */
export type KnownPeer = { readonly url: string; readonly fingerprint: string | null };

export type Judgement = PeerPin & { readonly known: KnownPeer | null };

/** The operator's answer. */
export type InviteDecision = {
  readonly accept: boolean;
  /** That it takes the place of a known peer is meant. */
  readonly replace?: boolean | undefined;
};

/** What the joining site is told; a refusal is thrown. */
export type ProveAnswer =
  | { readonly state: "waiting" }
  | {
      readonly state: "joined";
      /** How this site checks the other's certificate from now on. */
      readonly certificate: PeerPin["certificate"];
      readonly proof: string;
    };

type Joiner = {
  readonly party: PairingProve;
  readonly address: string;
  readonly outcome: PairingOutcome;
  judgement: Judgement | undefined;
};

export type InviteEnd = CertificateChecks & {
  readonly site: SiteName;
  readonly url: string;
  readonly address: string;
};

/**
 * One invitation: a code that lets one site prove that this site's operator has invited it. It lives in memory only, and with
 * the caller who made it: 15 minutes at most, until one site has joined or five proofs were wrong. After a success it is kept
 * without a timer for as long, so that the site that joined can ask again where the answer was lost.
 *
 * Whoever reaches the port can send five wrong proofs, and so end an invitation before the right site has come; not after, when
 * nobody but that site is answered. A name for the invitation that only holders of the code know would keep him off; but then a
 * wrong code were no failure of any invitation, nobody were told of it, and no number of them would end anything. So the operator
 * is told where the failures come from, and makes another invitation; none of them lets anybody in.
 *
 * open → asking (a site has proved that it has the code) → joined | declined | failed; open | asking → ended
 */
export class Invitation {
  readonly id: string;
  readonly #ports: InvitationPorts;
  readonly #secret: Uint8Array;
  readonly #own: ExchangeKey;
  readonly #self: PairingParty;
  readonly #deadlineMs: number;
  readonly #ended = Promise.withResolvers<InviteEnd>();
  readonly #over = new AbortController();
  readonly #tell: (event: object) => void;
  #state: "open" | "asking" | "admitting" | "joined" | "declined" | "failed" | "ended" = "open";
  #joiner: Joiner | undefined;
  #failures = 0;

  constructor(ports: InvitationPorts, tell: (event: object) => void) {
    const { random, clock, self } = ports;
    this.#ports = ports;
    this.#tell = tell;
    this.id = Buffer.from(random.bytes(8)).toString("hex");
    this.#secret = random.bytes(16);
    this.#own = newExchangeKey(random);
    this.#self = { ...self, nonce: random.bytes(32), key: this.#own.shown };
    this.#deadlineMs = clock.monotonicMs() + inviteMs;
    // Whoever waits for it may have gone before it ends.
    this.#ended.promise.catch(() => undefined);
  }

  /** Whether another may be made. */
  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** Whether it has anything to say to a site that asks. */
  get isKnown(): boolean {
    return this.#state !== "ended" && this.#ports.clock.monotonicMs() < this.#deadlineMs;
  }

  get self(): PairingParty {
    return this.#self;
  }

  /**
   * Shows the code and waits for its end; the one timer there is for it runs meanwhile.
   * @throws Refusal `invite_unknown` when its time is over, `invite_refused` after five failures, `invite_declined`,
   *   `shutting_down`, and what keeps the peer from being written down
   */
  async run(signal: AdminRequest["signal"]): Promise<InviteEnd> {
    const { clock, self } = this.#ports;
    const code = formatInviteCode({ url: self.url, secret: this.#secret, fingerprint: self.fingerprint });
    const ends_at = new Date(clock.now() + inviteMs).toISOString();
    this.#tell({ invite_id: this.id, code, url: self.url, ends_at } satisfies InviteOpened);
    const leave = (): void => this.#end(new Refusal("shutting_down", "the invitation ended with its caller"));
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    void clock.sleep(inviteMs, this.#over.signal).then(() => {
      this.#end(
        new Refusal("invite_unknown", "nobody has joined within 15 minutes: the invitation has ended"),
      );
    });
    try {
      return await this.#ended.promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  /**
   * Takes a joining site's proof, the first and every repetition.
   * @param address where it came from
   * @throws Refusal `invite_refused` for a wrong proof or while another site is asked about, `invite_declined`, `pairing_failed`
   *   where it cannot be a peer, `invite_unknown` for another site than the one that joined
   */
  async prove(request: PairingProve, address: string): Promise<ProveAnswer> {
    const outcome = pairingOutcome(
      { secret: this.#secret, primary: this.#self, joiner: request },
      this.#own,
      request.key,
    );
    const isProved = outcome !== undefined && isSameProof(outcome.proofs.joiner, request.proof);
    const known = this.#joiner;
    if (known !== undefined) {
      const isKnown = isProved && isSameProof(known.outcome.proofs.joiner, outcome.proofs.joiner);
      if (!isKnown) throw this.#turnAway();
      return this.#answer(known);
    }
    if (!isProved) throw this.#countFailure(address);
    const joiner: Joiner = { party: request, address, outcome, judgement: undefined };
    this.#joiner = joiner;
    await this.#ask(joiner);
    return this.#answer(joiner);
  }

  /**
   * Takes the operator's answer.
   * @throws Refusal `peer_exists`, which leaves the question open, where a replacement is not meant; what keeps the peer from
   *   being written down, and the invitation has ended then
   */
  async decide({ accept, replace = false }: InviteDecision): Promise<void> {
    const joiner = this.#joiner;
    if (this.#state !== "asking" || joiner?.judgement === undefined) {
      throw new Refusal("invite_unknown", "no site is waiting for an answer to this invitation");
    }
    if (!accept)
      return this.#close("declined", new Refusal("invite_declined", "declined; nothing was changed"));
    const { known, pin, certificate } = joiner.judgement;
    if (known !== null && !replace) {
      throw new Refusal("peer_exists", `${joiner.party.site} would take the place of a known peer`);
    }
    this.#state = "admitting";
    const { site, url } = joiner.party;
    try {
      await this.#ports.admit({ site, url, fingerprint: pin, token: formatToken(joiner.outcome.token) });
    } catch (error) {
      this.#close("failed", error);
      throw error;
    }
    this.#state = "joined";
    this.#over.abort();
    const own_certificate = joiner.party.certificate;
    this.#ended.resolve({ site, url, address: joiner.address, certificate, own_certificate });
  }

  async #ask(joiner: Joiner): Promise<void> {
    const { site, url, fingerprint } = joiner.party;
    try {
      const judgement = await this.#ports.judge({ site, url, fingerprint });
      if (this.#state !== "open") return;
      this.#state = "asking";
      joiner.judgement = judgement;
      const { known: replaces, certificate } = judgement;
      const { address } = joiner;
      this.#tell({
        joiner: { site, url, address, fingerprint, certificate, replaces },
      } satisfies InviteQuestion);
    } catch (error) {
      // The site may correct itself and come again.
      this.#joiner = undefined;
      this.#tell({ refused: { site, url, address: joiner.address, reason: reasonOf(error) } });
      // What is wrong here is no business of a site that is no peer.
      throw error instanceof Refusal ? new Refusal("pairing_failed") : error;
    }
  }

  #answer({ outcome, judgement }: Joiner): ProveAnswer {
    switch (this.#state) {
      case "open":
      case "asking":
      case "admitting":
        return { state: "waiting" };
      case "joined":
        return {
          state: "joined",
          certificate: judgement?.certificate ?? "none",
          proof: Buffer.from(outcome.proofs.primary).toString("hex"),
        };
      case "declined":
        throw new Refusal("invite_declined");
      case "failed":
        throw new Refusal("pairing_failed");
      case "ended":
        throw new Refusal("invite_unknown");
    }
  }

  /** Without any effect: a site was proved, and whoever else comes has not been invited. */
  #turnAway(): Refusal {
    const isAsking = this.#state === "open" || this.#state === "asking" || this.#state === "admitting";
    return new Refusal(isAsking ? "invite_refused" : "invite_unknown");
  }

  #countFailure(address: string): Refusal {
    if (this.#state !== "open") return this.#turnAway();
    this.#failures += 1;
    this.#tell({ failures: this.#failures, address } satisfies InviteFailure);
    if (this.#failures >= failuresMax) {
      this.#end(new Refusal("invite_refused", "five proofs were wrong: the invitation has ended"));
    }
    return new Refusal("invite_refused");
  }

  #close(state: "declined" | "failed" | "ended", reason: unknown): void {
    this.#state = state;
    this.#over.abort();
    this.#ended.reject(reason);
  }

  /** What is being admitted is finished; what has joined stays so. */
  #end(reason: Refusal): void {
    if (this.#state === "open" || this.#state === "asking") this.#close("ended", reason);
  }
}

/** For the operator: whole, with what of the configuration is meant. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Refusal)) return "a fault of this site, which its log tells";
  const mistakes = error.mistakes.map(({ path, message }) => `${path} ${message}`.trim());
  return mistakes.join("; ") || error.message;
}
