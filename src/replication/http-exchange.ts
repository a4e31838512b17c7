import { promisify } from "node:util";
import { constants, zstdCompress, zstdCompressSync } from "node:zlib";
import { Pool } from "undici";
import type { PeerTls } from "../core/peer-tls.ts";
import type { Clock } from "../core/ports.ts";
import { nameTlsFault, peerConnector, PeerTlsFault } from "../crypto/peer-tls.ts";
import { type ClientCertificateFault, clientCertificateFaultIn } from "../protocol/client-certificate.ts";
import { parseJson } from "../protocol/json.ts";
import type { Exchange, JsonText, Reply } from "./transport.ts";

export type HttpExchangeOptions = {
  /** The peer's address: scheme, host, port and perhaps a path that stands before the API's. */
  readonly url: string;
  /**
   * The bearer token of this direction; null for none. Or, while the pair's secret may be changed, a question asked before each
   * exchange, of whose answers the next is tried where one is not taken (401): a message that was under way while the
   * secret changed is not lost.
   */
  readonly credential: string | null | (() => readonly string[]);
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** What the peer's certificate must be; without it, one for the URL's host of an authority that the system trusts. */
  readonly tls?: PeerTls;
};

export type HttpExchange = Exchange & { close(): Promise<void> };

/** Below this, compressing costs more than it saves: a single entry stays as it is. */
const compressedBytesMin = 16 * 1024;
/** From here on it is done in a thread of Node's pool: clients wait for this one. Below, the way there takes as long. */
const threadedBytesMin = 256 * 1024;
const compressInThread = promisify(zstdCompress);
/**
 * Sealed bytes in base64 shrink by a third at every level, so the quickest will do. Node sends each chunk to a thread and waits for it:
 * with its default of 16 KiB a chunk, a batch takes six times as long.
 */
const compression = { chunkSize: 256 * 1024, params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** A repair's answer may carry a row of the largest body, in base64; no answer carries much more. */
const answerBytesMax = 4 * 1024 * 1024;
/** A connection that does not come about is given up after this, or every later attempt would wait for it. */
const connectMsMax = 10_000;
const noDemands: PeerTls = { ca: null, fingerprint: null, cert: null, key: null };
/** A reason of its own: without one, each abort makes an exception with a stack. */
const isAnswered = Symbol("answered");

/**
 * Exchanges over HTTP/1.1 with kept-alive connections, which undici closes a few seconds after the last answer: nothing of it
 * runs while the site sleeps. Its own time-outs are off because they tick; one sleep bounds a whole exchange instead. Redirects
 * are not followed: the credential goes nowhere but to the configured peer. What is wrong with a certificate is named.
 */
export function httpExchange(options: HttpExchangeOptions): HttpExchange {
  const { url, credential, timeoutMs, clock, tls = noDemands } = options;
  const base = new URL(url);
  const prefix = base.pathname.replace(/\/+$/, "");
  let hungUp: PeerTlsFault | undefined;
  const onFault = (fault: PeerTlsFault) => {
    hungUp = fault;
  };
  const pool = new Pool(base.origin, {
    connections: 2,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: answerBytesMax,
    connect: peerConnector(tls, Math.min(timeoutMs, connectMsMax), onFault),
  });
  const once = async (
    path: string,
    { body, isCompressed }: Body,
    signal: AbortSignal,
    bearer: string | null,
  ) => {
    signal.throwIfAborted();
    hungUp = undefined;
    const cut = new AbortController();
    const stop = () => cut.abort(new Error("ABORTED"));
    signal.addEventListener("abort", stop);
    const answered = new AbortController();
    void clock.sleep(timeoutMs, answered.signal).then(() => {
      if (!answered.signal.aborted) cut.abort(new Error("ETIMEDOUT"));
    });
    try {
      const answer = await pool.request({
        method: "POST",
        path: prefix + path,
        headers: {
          ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
          "content-type": "application/json",
          ...(isCompressed && { "content-encoding": "zstd" }),
        },
        body,
        signal: cut.signal,
      });
      const reply = readReply(answer.statusCode, await answer.body.bytes());
      refuseWithoutCertificate(reply);
      return { reply, bytes: body.length };
    } catch (error) {
      // What the connection died of says more than that it did.
      throw hungUp ?? (error instanceof Error ? nameTlsFault(error) : error);
    } finally {
      signal.removeEventListener("abort", stop);
      answered.abort(isAnswered);
    }
  };
  return {
    async post(path, json, signal, onLeaving) {
      const text = await made(json, clock);
      const body = await encode(text);
      onLeaving?.();
      if (typeof credential !== "function") return once(path, body, signal, credential);
      const [first = null] = credential();
      const sent = await once(path, body, signal, first);
      // Asked again: what was refused may have been exchanged meanwhile.
      const other = sent.reply.status === 401 ? credential().find((bearer) => bearer !== first) : undefined;
      return other === undefined ? sent : once(path, body, signal, other);
    },
    close: () => pool.destroy(),
  };
}

/** Of a text in one slice no turn is waited for. */
async function made(json: JsonText, clock: Clock): Promise<Uint8Array> {
  if (typeof json === "string") return Buffer.from(json);
  const slices: Uint8Array[] = [];
  for (const slice of json) {
    if (slices.length > 0) await clock.turn();
    slices.push(slice);
  }
  const [first] = slices;
  return slices.length === 1 && first ? first : Buffer.concat(slices);
}

type Body = { readonly body: Uint8Array; readonly isCompressed: boolean };

async function encode(json: Uint8Array): Promise<Body> {
  if (json.length < compressedBytesMin) return { body: json, isCompressed: false };
  const isSmall = json.length < threadedBytesMin;
  const body = isSmall ? zstdCompressSync(json, compression) : await compressInThread(json, compression);
  return { body, isCompressed: true };
}

const heard: Readonly<Record<ClientCertificateFault, string>> = {
  missing: "the peer asks for a client certificate, and was shown none",
  expired: "the peer refuses this site's client certificate: it expired",
  untrusted:
    "the peer refuses this site's client certificate: it is not of the authority that the peer trusts",
};

/** Not the credential was refused then, though the status is the same. */
function refuseWithoutCertificate({ status, body }: Reply): void {
  const fault = status === 401 ? clientCertificateFaultIn(body) : undefined;
  if (fault !== undefined) throw new PeerTlsFault(heard[fault]);
}

function readReply(status: number, json: Uint8Array): Reply {
  try {
    return { status, body: parseJson(json) };
  } catch {
    return { status, body: undefined };
  }
}
