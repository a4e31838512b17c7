import type { HelloAnswer, PeerAnswer, PushAnswer, Transport } from "../core/ports.ts";
import { encodeAside, readAsideReply } from "../protocol/aside-frames.ts";
import { encodeHello, readHelloReply, readIdentity, readRefusal } from "../protocol/identity-frames.ts";
import { encodePush, encodeRowsAhead, readApplied, readRefused } from "../protocol/push-frames.ts";
import { encodeRepair, readRepairReply } from "../protocol/repair-frames.ts";
import {
  encodeGrantRequest,
  encodeLocate,
  readGrantReply,
  readLocateReply,
} from "../protocol/role-frames.ts";

/** What came back from a peer: the body is parsed JSON, or undefined where it was none. */
export type Reply = { readonly status: number; readonly body: unknown };

/** A JSON text, or the slices of a long one in UTF-8: whoever sends it may let others run between the making of two. */
export type JsonText = string | Generator<Uint8Array, void, void>;

/**
 * Posts a JSON text to a path of one peer, with its credential. Rejects when there is no whole answer: cut, refused, time-out,
 * too long. Never follows a redirect. `bytes` is the size of the text as it was sent;
 * `onLeaving` is called when it is encoded and handed to the connection.
 */
export interface Exchange {
  post(
    path: string,
    json: JsonText,
    signal: AbortSignal,
    onLeaving?: () => void,
  ): Promise<{ readonly reply: Reply; readonly bytes: number }>;
}

export const applyPath = "/api/replication/apply";
export const helloPath = "/api/replication/hello";
export const locatePath = "/api/replication/locate";
export const grantPath = "/api/replication/grant";
export const repairPath = "/api/replication/repair";
export const asidePath = "/api/replication/aside";

/**
 * The meaning of a peer's answers, whatever carries them. Only an answer that is whole and makes sense counts as one; every
 * other is a failed attempt, which may have been applied all the same.
 */
export function makeTransport(exchange: Exchange): Transport {
  const ask = async <T extends object>(
    { path, json }: { readonly path: string; readonly json: string },
    read: (body: unknown) => T | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly answer: PeerAnswer<T>; readonly bytes: number }> => {
    try {
      const { reply, bytes } = await exchange.post(path, json, signal);
      return { answer: readPeerAnswer(reply, read), bytes };
    } catch (error) {
      return { answer: { kind: "failed", error: describe(error) }, bytes: 0 };
    }
  };
  return {
    async push(push, signal, onLeaving) {
      try {
        const { reply, bytes } = await exchange.post(applyPath, encodePush(push), signal, onLeaving);
        return { answer: readPushAnswer(reply), bytes };
      } catch (error) {
        return { answer: { kind: "failed", error: describe(error) }, bytes: 0 };
      }
    },
    prepare: encodeRowsAhead,
    async hello(identity, publicUrl, signal): Promise<HelloAnswer> {
      const json = encodeHello({ identity, publicUrl });
      return (await ask({ path: helloPath, json }, readHelloReply, signal)).answer;
    },
    async locate(identity, points, signal) {
      const json = encodeLocate({ identity, points });
      return (await ask({ path: locatePath, json }, readLocateReply, signal)).answer;
    },
    async grant(identity, message, signal) {
      const json = encodeGrantRequest({ identity, message });
      return (await ask({ path: grantPath, json }, readGrantReply, signal)).answer;
    },
    repair(request, signal) {
      const read = (body: unknown) => {
        const reply = readRepairReply(body);
        return reply?.step === request.step ? { reply } : undefined;
      };
      return ask({ path: repairPath, json: encodeRepair(request) }, read, signal);
    },
    async aside(identity, step, signal) {
      const json = encodeAside({ identity, step });
      return (await ask({ path: asidePath, json }, readAsideReply, signal)).answer;
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

/** 413 is the one refusal that a proxy may make in the peer's place, without a word of the peer's. */
function readPeerAnswer<T extends object>(
  { status, body }: Reply,
  read: (body: unknown) => T | undefined,
): PeerAnswer<T> {
  const identity = readIdentity(body);
  if (status === 200) {
    const content = read(body);
    if (!identity || !content) return { kind: "failed", error: "the answer makes no sense" };
    return { kind: "answered", identity, ...content };
  }
  if (status === 401) return { kind: "unauthorized" };
  if (status === 413)
    return { kind: "refused", code: "body_too_large", identity: identity ?? null, detail: "" };
  const refusal = status >= 400 ? readRefusal(body) : undefined;
  if (!refusal) return { kind: "failed", error: `answered ${status}` };
  return { kind: "refused", identity: identity ?? null, ...refusal };
}

/** An error's code where it has one: messages may hold an address with more in it than an alert should carry. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "no answer";
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : error.message;
}
