import { describe, expect, it } from "vitest";
import { SeededRandom, VirtualClock } from "../../../test/support/ports.ts";
import { AccessSecret } from "../../crypto/access-secret.ts";
import { type Login, loginAccessIds } from "../../crypto/passphrase.ts";
import { formatToken, parseToken } from "../../crypto/token.ts";
import { Sessions } from "./sessions.ts";

const anna = "anna" as Login;
const secret = new Uint8Array(32).fill(7);
const minuteMs = 60_000;

function open(seed = 1) {
  const clock = new VirtualClock();
  return { clock, sessions: new Sessions({ clock, random: new SeededRandom(seed) }) };
}

describe("a session", () => {
  it("gives the person's secret for any of the login's accesses, to who has its token", () => {
    const { sessions } = open();
    const { token, id } = sessions.begin(anna, secret);
    const session = sessions.open(token);
    expect(session).toMatchObject({ id, login: "anna", accessIds: loginAccessIds(anna) });
    for (const accessId of loginAccessIds(anna)) {
      using given = session?.secretOf(accessId);
      using expected = AccessSecret.of(accessId, secret);
      expect(given?.verifier()).toEqual(expected.verifier());
    }
  });

  it("is opened by nothing but its own token", () => {
    const { sessions } = open();
    const { token } = sessions.begin(anna, secret);
    const { token: other } = sessions.begin(anna, secret);
    const [one, two] = [parseToken(token), parseToken(other)];
    expect(one?.kind).toBe("session");
    expect(token.startsWith("dml_")).toBe(true);
    for (const text of ["", "dml_", token.slice(1), token.replace("dml_", "dmv_"), `${token} `]) {
      expect(sessions.open(text)).toBeUndefined();
    }
    // Of two halves, each of a session that is there.
    if (one === undefined || two === undefined) throw new Error("a session's token cannot be read");
    expect(sessions.open(formatToken({ ...one, secret: two.secret }))).toBeUndefined();
  });

  it("ends after 30 minutes without use, and lasts while it is used", async () => {
    const { clock, sessions } = open();
    const { token, id } = sessions.begin(anna, secret);
    for (let i = 0; i < 3; i += 1) {
      await clock.advance(29 * minuteMs);
      expect(sessions.open(token)).toBeDefined();
    }
    await clock.advance(30 * minuteMs - 1);
    expect(sessions.times(id)).toBeDefined();
    await clock.advance(1);
    expect(sessions.open(token)).toBeUndefined();
    expect(sessions.times(id)).toBeUndefined();
    expect(sessions.size).toBe(0);
  });

  it("ends after 12 hours, however much it is used", async () => {
    const { clock, sessions } = open();
    const { token } = sessions.begin(anna, secret);
    for (let i = 0; i < 47; i += 1) {
      await clock.advance(15 * minuteMs);
      expect(sessions.open(token)).toBeDefined();
    }
    await clock.advance(15 * minuteMs);
    expect(sessions.open(token)).toBeUndefined();
  });

  it("says until when it lasts", async () => {
    const { clock, sessions } = open();
    const begunAt = clock.now();
    const { token, id } = sessions.begin(anna, secret);
    await clock.advance(10 * minuteMs);
    sessions.open(token);
    const expiresAt = begunAt + 12 * 60 * minuteMs;
    expect(sessions.times(id)).toEqual({ idleExpiresAt: begunAt + 40 * minuteMs, expiresAt });
    for (let i = 0; i < 25; i += 1) {
      await clock.advance(28 * minuteMs);
      sessions.open(token);
    }
    expect(sessions.times(id)).toEqual({ idleExpiresAt: expiresAt, expiresAt });
  });

  it.each([
    ["the wall clock is put back", -3_600_000, 30 * minuteMs],
    ["the machine slept, which only the wall clock tells", 30 * minuteMs, 0],
  ])("ends all the same where %s", (_, wallMs, monotonicMs) => {
    let at = { wall: Date.UTC(2026, 0, 1), monotonic: 0 };
    const clock = { now: () => at.wall, monotonicMs: () => at.monotonic };
    const sessions = new Sessions({ clock, random: new SeededRandom(1) });
    const { token } = sessions.begin(anna, secret);
    at = { wall: at.wall + wallMs, monotonic: monotonicMs };
    expect(sessions.open(token)).toBeUndefined();
  });

  it("is over once it is ended, for its own token alone", () => {
    const { sessions } = open();
    const [one, two] = [sessions.begin(anna, secret), sessions.begin(anna, secret)];
    sessions.end(one.id);
    sessions.end(one.id);
    expect(sessions.open(one.token)).toBeUndefined();
    expect(sessions.open(two.token)).toBeDefined();
  });

  it("is not known to the site after a restart", () => {
    const { token } = open(1).sessions.begin(anna, secret);
    expect(open(2).sessions.open(token)).toBeUndefined();
  });
});

describe("there are at most", () => {
  it("20 of one person: the one that was idle longest goes", async () => {
    const { clock, sessions } = open();
    const bert = sessions.begin("bert" as Login, secret);
    const tokens = [];
    for (let i = 0; i < 20; i += 1) {
      tokens.push(sessions.begin(anna, secret).token);
      await clock.advance(1);
    }
    sessions.open(tokens[0] ?? "");
    tokens.push(sessions.begin(anna, secret).token);
    const isOpen = tokens.map((token) => sessions.open(token) !== undefined);
    expect(isOpen).toEqual(isOpen.map((_, index) => index !== 1));
    expect(sessions.open(bert.token)).toBeDefined();
  });

  it("10,000 in all: the one that was idle longest goes", () => {
    const { sessions } = open();
    const tokens = Array.from({ length: 10_001 }, (_, i) => sessions.begin(`p${i}` as Login, secret).token);
    expect(sessions.size).toBe(10_000);
    expect(sessions.open(tokens[0] ?? "")).toBeUndefined();
    expect(sessions.open(tokens[1] ?? "")).toBeDefined();
  });

  it("as many as have not expired: others go when somebody logs in", async () => {
    const { clock, sessions } = open();
    for (let i = 0; i < 10; i += 1) sessions.begin(`p${i}` as Login, secret);
    await clock.advance(31 * minuteMs);
    sessions.begin(anna, secret);
    expect(sessions.size).toBe(1);
  });
});
