import { zstdCompressSync } from "node:zlib";
import { Pool } from "undici";
import type { Clock } from "../core/ports.ts";
import type { Exchange, Reply } from "./transport.ts";

export type HttpExchangeOptions = {
  /** The peer's address: scheme, host, port and perhaps a path that stands before the API's. */
  readonly url: string;
  /** The bearer token of this direction. */
  readonly credential: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
};

export type HttpExchange = Exchange & { close(): Promise<void> };

/** Below this, compressing costs more than it saves: a single entry stays as it is. */
const compressedBytesMin = 16 * 1024;
const answerBytesMax = 1024 * 1024;
/** A reason of its own: without one, each abort makes an exception with a stack. */
const isAnswered = Symbol("answered");

/**
 * Exchanges over HTTP/1.1 with kept-alive connections, which undici closes a few seconds after the last answer: nothing of it
 * runs while the site sleeps. Its own time-outs are off because they tick; one sleep bounds a whole exchange instead.
 */
export function httpExchange({ url, credential, timeoutMs, clock }: HttpExchangeOptions): HttpExchange {
  const base = new URL(url);
  const prefix = base.pathname.replace(/\/$/, "");
  const pool = new Pool(base.origin, {
    connections: 2,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: answerBytesMax,
  });
  return {
    async post(path, json, signal) {
      signal.throwIfAborted();
      const isLarge = json.length >= compressedBytesMin;
      const body = isLarge ? zstdCompressSync(json) : Buffer.from(json);
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
            authorization: `Bearer ${credential}`,
            "content-type": "application/json",
            ...(isLarge && { "content-encoding": "zstd" }),
          },
          body,
          signal: cut.signal,
        });
        const text = await answer.body.text();
        return { reply: readReply(answer.statusCode, text), bytes: body.length };
      } finally {
        signal.removeEventListener("abort", stop);
        answered.abort(isAnswered);
      }
    },
    close: () => pool.destroy(),
  };
}

function readReply(status: number, text: string): Reply {
  try {
    return { status, body: JSON.parse(text) };
  } catch {
    return { status, body: undefined };
  }
}
