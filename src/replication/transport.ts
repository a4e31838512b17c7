import type { Identity, Push } from "../core/push.ts";
import type { HelloAnswer, PushAnswer, Transport } from "../core/ports.ts";
import {
  encodeHello,
  encodePush,
  readApplied,
  readIdentity,
  readRefused,
} from "../protocol/replication-frames.ts";

/** What came back from a peer: the body is parsed JSON, or undefined where it was none. */
export type Reply = { readonly status: number; readonly body: unknown };

/**
 * Posts a JSON text to a path of one peer, with its credential. Rejects when there is no whole answer: cut, refused, time-out,
 * too long. Never follows a redirect. `bytes` is the size of the text as it was sent.
 */
export interface Exchange {
  post(
    path: string,
    json: string,
    signal: AbortSignal,
  ): Promise<{ readonly reply: Reply; readonly bytes: number }>;
}

export const applyPath = "/api/replication/apply";
export const helloPath = "/api/replication/hello";

/**
 * The meaning of a peer's answers, whatever carries them. Only an answer that is whole and makes sense counts as one; every
 * other is a failed attempt, which may have been applied all the same.
 */
export function makeTransport(exchange: Exchange): Transport {
  return {
    async push(push: Push, signal: AbortSignal) {
      try {
        const { reply, bytes } = await exchange.post(applyPath, encodePush(push), signal);
        return { answer: readPushAnswer(reply), bytes };
      } catch (error) {
        return { answer: { kind: "failed", error: describe(error) }, bytes: 0 };
      }
    },
    async hello(identity: Identity, publicUrl: string, signal: AbortSignal) {
      try {
        const { reply } = await exchange.post(helloPath, encodeHello({ identity, publicUrl }), signal);
        return readHelloAnswer(reply);
      } catch (error) {
        return { kind: "failed", error: describe(error) };
      }
    },
  };
}

function readPushAnswer({ status, body }: Reply): PushAnswer {
  if (status === 200) {
    const applied = readApplied(body);
    return applied ? { kind: "applied", ...applied } : { kind: "failed", error: "the answer makes no sense" };
  }
  if (status === 401) return { kind: "unauthorized" };
  if (status === 413) return { kind: "too_large" };
  const refused = status === 409 ? readRefused(body) : undefined;
  return refused ? { kind: "refused", ...refused } : { kind: "failed", error: `answered ${status}` };
}

function readHelloAnswer({ status, body }: Reply): HelloAnswer {
  if (status === 401) return { kind: "unauthorized" };
  const identity = status === 200 || status === 409 ? readIdentity(body) : undefined;
  return identity ? { kind: "answered", identity } : { kind: "failed", error: `answered ${status}` };
}

/** An error's code where it has one: messages may hold an address with more in it than an alert should carry. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "no answer";
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : error.message;
}
