import { describe, expect, it } from "vitest";
import type { RealmId, SiteName } from "../core/ids.ts";
import { origin } from "../core/position.ts";
import type { Identity } from "../core/push.ts";
import { encodeHelloReply, encodeIdentity } from "../protocol/identity-frames.ts";
import { encodeRepairReply } from "../protocol/repair-frames.ts";
import { makeTransport, type Reply } from "./transport.ts";

const identity: Identity = {
  site: "zurich" as SiteName,
  realm: "00000000-0000-4000-8000-000000000000" as RealmId,
  role: "backup",
  epoch: { number: 1, id: "a" },
  applied: origin,
};
const signal = new AbortController().signal;

/** What comes of a hello that is answered so. */
function hello(status: number, body: unknown): Promise<object> {
  const post = async (): Promise<{ reply: Reply; bytes: number }> => ({ reply: { status, body }, bytes: 1 });
  return makeTransport({ post }).hello(identity, "https://calgary.example", signal);
}

describe("an answer", () => {
  it("that is whole and makes sense is the peer's word", async () => {
    const reply = { timeline: [], verifiedAt: null };
    expect(await hello(200, encodeHelloReply(identity, reply))).toEqual({
      kind: "answered",
      identity,
      ...reply,
    });
  });

  it("that refuses by a known code says who refuses and why", async () => {
    const problem = { ...encodeIdentity(identity), code: "grant_open", detail: "It is promised to oslo." };
    expect(await hello(409, problem)).toEqual({
      kind: "refused",
      code: "grant_open",
      detail: "It is promised to oslo.",
      identity,
    });
    expect(await hello(503, { code: "disk_full" })).toMatchObject({ kind: "refused", identity: null });
  });

  it("of 401 is the credential's, and of 413 the size's, whoever makes it", async () => {
    expect(await hello(401, { code: "unauthorized" })).toEqual({ kind: "unauthorized" });
    expect(await hello(413, undefined)).toMatchObject({
      kind: "refused",
      code: "body_too_large",
      identity: null,
    });
  });

  it.each([
    [200, undefined],
    [200, encodeIdentity(identity)],
    [200, { timeline: [], verified_at: null }],
    [204, undefined],
    [302, { code: "internal" }],
    [409, { code: "made_up", ...encodeIdentity(identity) }],
    [502, "<html>"],
  ])("of %i that makes no sense is a failed attempt", async (status, body) => {
    expect(await hello(status, body)).toMatchObject({ kind: "failed" });
  });

  it("to another step of the repair than was asked for makes no sense", async () => {
    const body = encodeRepairReply(identity, { step: "apply", replaced: 1, removed: 0, refused: 0 });
    const transport = makeTransport({ post: async () => ({ reply: { status: 200, body }, bytes: 3 }) });
    const { answer, bytes } = await transport.repair({ step: "recount", from: identity, at: origin }, signal);
    expect([answer, bytes]).toEqual([{ kind: "failed", error: "the answer makes no sense" }, 3]);
  });

  it("that never comes is a failed attempt, told by its code and no address", async () => {
    const error = Object.assign(new Error("connect 10.1.2.3:8201"), { code: "ECONNREFUSED" });
    const transport = makeTransport({ post: () => Promise.reject(error) });
    const failed = { kind: "failed", error: "ECONNREFUSED" };
    expect(await transport.locate(identity, [], signal)).toEqual(failed);
    expect(await transport.grant(identity, { action: "request" }, signal)).toEqual(failed);
    expect(await transport.aside(identity, { step: "list", limit: 1 }, signal)).toEqual(failed);
  });
});
