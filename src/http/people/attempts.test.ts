import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../../test/support/ports.ts";
import { Refusal } from "../../core/errors.ts";
import { type Attempt, Attempts } from "./attempts.ts";

const signal = new AbortController().signal;
const fail = async () => undefined;
const succeed = async () => "right";

function open() {
  const clock = new VirtualClock();
  return { clock, attempts: new Attempts(clock) };
}

const from = (address: string | undefined, login: string): Attempt => ({ address, login });
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    (result) => result,
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

const noVerdict = () => Promise.reject(new Refusal("busy"));

/** How long an attempt waits before its check. */
async function delayOf(
  { clock, attempts }: ReturnType<typeof open>,
  attempt: Attempt,
  check: () => Promise<unknown> = fail,
): Promise<number> {
  const begun = clock.monotonicMs();
  let checkedAt = 0;
  const made = codeOf(
    attempts.make(attempt, signal, () => {
      checkedAt = clock.monotonicMs();
      return check();
    }),
  );
  await clock.advance(clock.nextWakeMs ?? 0);
  await made;
  return checkedAt - begun;
}

describe("the delay", () => {
  it("grows with each failure of one address, whatever the login, to 10 s and no further", async () => {
    const site = open();
    const delays = [];
    for (let i = 0; i < 9; i += 1) delays.push(await delayOf(site, from("a", `login-${i}`)));
    expect(delays).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
  });

  it("grows with each failure of one login, from wherever they come", async () => {
    const site = open();
    const delays = [];
    for (let i = 0; i < 4; i += 1) delays.push(await delayOf(site, from(`address-${i}`, "anna")));
    expect(delays).toEqual([0, 500, 1_000, 2_000]);
    expect(await delayOf(site, from("address-0", "bert"))).toBe(500);
    expect(await delayOf(site, from("another", "clara"))).toBe(0);
  });

  it("shrinks with time until it is gone", async () => {
    const site = open();
    for (let i = 0; i < 20; i += 1) await delayOf(site, from("a", "anna"));
    await site.clock.advance(230_000);
    expect(await delayOf(site, from("a", "anna"), noVerdict)).toBe(1_000);
    await site.clock.advance(10 * 60_000);
    expect(await delayOf(site, from("a", "anna"))).toBe(0);
  });

  it("is no longer for a success, and no shorter: nobody clears the failures of his guesses by an access of his own", async () => {
    const site = open();
    for (let i = 0; i < 20; i += 1) {
      await delayOf(site, from("a", "anna"));
      await delayOf(site, from("a", "anna"), succeed);
    }
    expect(await delayOf(site, from("a", "anna"))).toBe(10_000);
    expect(await delayOf(site, from("b", "anna"))).toBe(10_000);
    const other = open();
    for (let i = 0; i < 5; i += 1) await delayOf(other, from("a", "anna"), succeed);
    expect(await delayOf(other, from("a", "anna"), succeed)).toBe(0);
  });

  it("is no less for those who try many at once", async () => {
    const site = open();
    const checkedAt: number[] = [];
    const made = Array.from({ length: 4 }, () =>
      site.attempts.make(from("a", "anna"), signal, async () => {
        checkedAt.push(site.clock.monotonicMs());
        return undefined;
      }),
    );
    await site.clock.advance(10_000);
    await Promise.all(made);
    expect(checkedAt).toEqual([0, 500, 1_000, 2_000]);
  });

  it("does not grow where nothing was tried: what the check throws is no failure", async () => {
    const { attempts } = open();
    for (let i = 0; i < 5; i += 1)
      expect(await codeOf(attempts.make(from("a", "b"), signal, noVerdict))).toBe("busy");
    expect(attempts.size).toBe(0);
  });

  it("of an address that everybody shares is that of the login alone", async () => {
    const site = open();
    for (let i = 0; i < 5; i += 1) await delayOf(site, from(undefined, `login-${i}`));
    expect(await delayOf(site, from(undefined, "anna"))).toBe(0);
    expect(await delayOf(site, from(undefined, "login-1"))).toBe(500);
  });
});

describe("a flood", () => {
  it("of one address has four under way at once; the others are told to come back, and delay nobody else", async () => {
    const { clock, attempts } = open();
    const flood = Array.from({ length: 100 }, (_, i) =>
      codeOf(attempts.make(from("a", `login-${i}`), signal, fail)),
    );
    expect(await codeOf(attempts.make(from("b", "anna"), signal, succeed))).toBe("right");
    await clock.advance(10_000);
    const codes = await Promise.all(flood);
    expect(codes.filter((code) => code === "busy")).toHaveLength(96);
    expect(await codeOf(attempts.make(from("b", "anna"), signal, succeed))).toBe("right");
  });

  it("from everywhere at one login has 64 wait, and the right passphrase waits 10 s and no longer", async () => {
    const site = open();
    const flood = Array.from({ length: 100 }, (_, i) =>
      codeOf(site.attempts.make(from(`address-${i}`, "anna"), signal, fail)),
    );
    expect(site.clock.sleeping).toBe(64);
    await site.clock.advance(10_000);
    expect((await Promise.all(flood)).filter((code) => code === "busy")).toHaveLength(35);
    expect(await delayOf(site, from("home", "anna"), succeed)).toBe(10_000);
  });

  it("is remembered in bounded memory", async () => {
    const { attempts } = open();
    for (let i = 0; i < 12_000; i += 1) await attempts.make(from(`address-${i}`, `login-${i}`), signal, fail);
    expect(attempts.size).toBe(20_000);
  });
});

describe("who waits", () => {
  it("and goes away leaves no timer, and makes room", async () => {
    const { clock, attempts } = open();
    const gone = new AbortController();
    await attempts.make(from("a", "anna"), signal, fail);
    const waiting = Array.from({ length: 4 }, () =>
      codeOf(attempts.make(from("a", "anna"), gone.signal, fail)),
    );
    expect(clock.sleeping).toBe(4);
    gone.abort();
    expect(await Promise.all(waiting)).toEqual(Array.from({ length: 4 }, () => "shutting_down"));
    expect(clock.sleeping).toBe(0);
    const next = attempts.make(from("a", "anna"), signal, succeed);
    await clock.advance(500);
    expect(await next).toBe("right");
  });
});
