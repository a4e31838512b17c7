import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { PeerTls } from "../../core/peer-tls.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { type ErrorCode, errorCodes, Refusal } from "../../core/errors.ts";
import type { Transacts } from "../../core/store/store.ts";
import { exchangeKeyOf, newExchangeKey } from "../../crypto/key-agreement.ts";
import { type InviteCode, parseInviteCode } from "../../crypto/invite-code.ts";
import { isSameProof, type PairingParty, pairingOutcome, type PairingOutcome } from "../../crypto/pairing.ts";
import { PeerTlsFault } from "../../crypto/peer-tls.ts";
import { formatToken } from "../../crypto/token.ts";
import type { CommercialConfig } from "../../ops/config/config.ts";
import { writeSecretFile } from "../../ops/config/replace-file.ts";
import { readSecretFile } from "../../ops/config/secret-files.ts";
import { pairingAnswer, pairingBegun, pairingPath, pairingProtocol } from "../../protocol/pairing.ts";
import { type CertificateChecks, type PeerPin, pinFor } from "../certificates.ts";
import { checkPeer, checkWritable, savePeer } from "./peer-files.ts";
import type { PeerExchange } from "./peer-links.ts";

export type JoinParts = {
  readonly config: CommercialConfig;
  readonly store: Transacts<"site">;
  readonly clock: Clock;
  readonly random: Random;
  /** This site's certificate, where it shows one of its own. */
  readonly fingerprint: string | null;
  readonly open: (options: { readonly url: string; readonly tls: PeerTls }) => {
    readonly exchange: PeerExchange;
    readonly close: () => Promise<void>;
  };
  readonly progress: (event: object) => void;
  readonly signal: AbortSignal;
};

export type Joined = CertificateChecks & {
  readonly site: string;
  readonly url: string;
  readonly token_file: string;
};

/** How long two sites that are being paired look for each other's certificates. */
export const lookMs = 5_000;

const askAgainMs = 1_000;
/** The first wait for the operator's answer; each is twice the one before, up to `askAgainMs`. A script answers at once. */
const askFirstMs = 100;
/** Attempts in a row without an answer before it is given up; the command may be repeated. */
const attemptsMax = 10;

/**
 * Joins the primary that an invitation's code names: proves that this site was given the code, waits for the primary's
 * operator, has the primary prove itself in its turn, and then writes the pair's secret and the peer down. The code itself is
 * never sent. What it needs for asking again, where an answer is lost or this process ends, is kept in the data folder until
 * it is done, so the same command may be repeated while the invitation lasts.
 * @throws Refusal `invite_malformed`, `site_not_empty`, `config_invalid`, `unreachable`, and those of the primary, having
 *   written nothing into the configuration
 */
export async function joinPrimary(parts: JoinParts, text: string): Promise<Joined> {
  const { config, store, progress } = parts;
  const code = parseInviteCode(text);
  await refuseUsed(store);
  await checkWritable(config.configPath);
  const way = parts.open({ url: code.url, tls: { ...noDemands, fingerprint: code.fingerprint } });
  try {
    const draft = await keptDraft(parts, text);
    const primary = await begin(parts, way.exchange, code);
    // The code's fingerprint proves this contact; whether it is to prove all later ones is another question.
    const { pin, certificate } = await pinFor(code, lookMs);
    const peer = { site: primary.site, url: code.url, fingerprint: pin };
    await checkPeer(config.configPath, peer);
    const own = exchangeKeyOf(draft.exchange);
    const { fingerprint } = parts;
    const joiner = {
      site: config.site,
      url: config.publicUrl,
      fingerprint,
      nonce: draft.nonce,
      key: own.shown,
    };
    const outcome = pairingOutcome({ secret: code.secret, primary, joiner }, own, primary.key);
    if (outcome === undefined) throw changed();
    progress({ primary: { site: primary.site, url: code.url } });
    const own_certificate = await untilJoined(parts, way.exchange, { ...joiner, certificate }, outcome);
    const token_file = await savePeer(config.configPath, { ...peer, token: formatToken(outcome.token) });
    await rm(draftPath(config), { force: true });
    return { site: primary.site, url: code.url, token_file, certificate, own_certificate };
  } finally {
    await way.close();
  }
}

const noDemands: PeerTls = { ca: null, fingerprint: null, cert: null, key: null };

/** @throws Refusal `site_not_empty` by what the site is */
async function refuseUsed(store: Transacts<"site">): Promise<void> {
  const { role, realm, head } = await store.read((r) => r.site.record());
  if (role === "primary")
    throw new Refusal("site_not_empty", "this site is a primary, and only an empty backup can join");
  if (realm !== null || head.position.seq > 0) {
    throw new Refusal("site_not_empty", "this backup holds another primary's data already");
  }
}

/** @throws Refusal `invite_refused` where what answers is not the primary that the code names */
async function begin(
  parts: JoinParts,
  exchange: PeerExchange,
  { url, fingerprint }: InviteCode,
): Promise<PairingParty> {
  const body = await ask(parts, exchange, { protocol: pairingProtocol, step: "begin" }, 1);
  const begun = pairingBegun.safeParse(body);
  if (!begun.success) throw new Refusal("unreachable", `what answers at ${url} is no Dormouse that invites`);
  const { site, nonce, key } = begun.data;
  if (site === parts.config.site) {
    throw new Refusal("config_invalid", `the primary is called ${site} too: give this site another name`);
  }
  // URL and certificate are the code's: whoever answers with others has other proofs.
  return { site, url, fingerprint, nonce, key };
}

/** Proves and asks again until the operator has accepted and the primary has proved itself; how it checks this site's certificate. */
async function untilJoined(
  parts: JoinParts,
  exchange: PeerExchange,
  joiner: PairingParty & Pick<PeerPin, "certificate">,
  outcome: PairingOutcome,
): Promise<PeerPin["certificate"]> {
  const { proofs } = outcome;
  const { site, url, fingerprint, certificate } = joiner;
  const party = { site, url, fingerprint, certificate, nonce: hex(joiner.nonce), key: hex(joiner.key) };
  const request = { protocol: pairingProtocol, step: "prove", ...party, proof: hex(proofs.joiner) };
  for (let times = 0; ; times += 1) {
    const answer = pairingAnswer.safeParse(await ask(parts, exchange, request, attemptsMax));
    if (!answer.success) throw changed();
    if (answer.data.state === "joined") {
      if (!isSameProof(proofs.primary, answer.data.proof)) throw changed();
      return answer.data.certificate;
    }
    if (times === 0) parts.progress({ waiting: true });
    await parts.clock.sleep(Math.min(askAgainMs, askFirstMs * 2 ** times), parts.signal);
    parts.signal.throwIfAborted();
  }
}

/** One answer that is whole, asked for again while there is none. @throws Refusal the primary's, or `unreachable` */
async function ask(
  parts: JoinParts,
  exchange: PeerExchange,
  request: object,
  attempts: number,
): Promise<unknown> {
  const { clock, signal } = parts;
  for (let attempt = 1; ; attempt += 1) {
    const reply = await exchange.post(pairingPath, JSON.stringify(request), signal).then(
      (answer) => answer.reply,
      (error: unknown) => {
        const refusal = new Refusal("unreachable", `the primary did not answer: ${reasonOf(error)}`);
        // Somebody else's certificate does not change by asking again.
        if (error instanceof PeerTlsFault) throw refusal;
        return refusal;
      },
    );
    signal.throwIfAborted();
    if (!(reply instanceof Refusal)) {
      if (reply.status < 300) return reply.body;
      throw refusalIn(reply.status, reply.body);
    }
    if (attempt >= attempts) throw reply;
    await clock.sleep(askAgainMs, signal);
  }
}

/** The primary's refusal, in our words for its code: its own are somebody else's until it has proved itself. */
function refusalIn(status: number, body: unknown): Refusal {
  const code = typeof body === "object" && body !== null && "code" in body ? String(body.code) : "";
  if (!Object.hasOwn(errorCodes, code)) {
    return new Refusal("unreachable", `what answers there is no Dormouse that invites (HTTP ${status})`);
  }
  if (code === "route_unknown")
    return new Refusal("invite_unknown", "what answers there is no primary that can invite");
  return new Refusal(code as ErrorCode);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "no answer";
  const code: unknown = "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : error.message;
}

function changed(): Refusal {
  return new Refusal(
    "invite_refused",
    "the answer is not the primary's: it was changed on its way, or somebody else gave it",
  );
}

type Draft = { readonly exchange: Uint8Array; readonly nonce: Uint8Array };

function draftPath({ dataFolder }: CommercialConfig): string {
  return join(dataFolder, "join.partial");
}

/** This site's half of the exchange: the one kept of an earlier attempt with the same code, or a new one. */
async function keptDraft({ config, random }: JoinParts, code: string): Promise<Draft> {
  const path = draftPath(config);
  const ofCode = createHash("sha256").update(`dormouse/v1/join\0${code.trim()}`).digest("hex");
  const kept = await readSecretFile(path);
  const [known, exchange = "", nonce = ""] = kept.kind === "read" ? kept.text.split("\n") : [];
  if (known === ofCode && /^[0-9a-f]{64}$/.test(exchange) && /^[0-9a-f]{64}$/.test(nonce)) {
    return { exchange: Buffer.from(exchange, "hex"), nonce: Buffer.from(nonce, "hex") };
  }
  const draft = { exchange: newExchangeKey(random).secret, nonce: random.bytes(32) };
  await rm(path, { force: true });
  await writeSecretFile(path, `${ofCode}\n${hex(draft.exchange)}\n${hex(draft.nonce)}\n`);
  return draft;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
