import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import { formatTokenId, newToken, type Token } from "../../crypto/token.ts";
import { systemRandom } from "../system-ports.ts";
import type { PeerExchange } from "./peer-links.ts";
import { Rotation } from "./rotation.ts";

/** What happens to the messages of one rotation, one after the other. */
type Fate = "arrives" | "request lost" | "answer lost" | "late";
const fates: readonly Fate[] = ["arrives", "request lost", "answer lost", "late"];

/** Two sites with their token files, and a network that is told what to do with each message. */
class Pair {
  readonly tokens: Record<string, readonly Token[]>;
  readonly rotations: Readonly<Record<string, Rotation>>;
  fates: Fate[] = [];
  readonly #late: (() => Promise<unknown>)[] = [];
  #last: Record<string, Promise<unknown>> = {};

  constructor() {
    const first = newToken("peer", systemRandom);
    this.tokens = { calgary: [first], zurich: [first] };
    this.rotations = { calgary: this.#rotationOf("calgary"), zurich: this.#rotationOf("zurich") };
  }

  #rotationOf(site: string): Rotation {
    const links = {
      tokensOf: () => this.tokens[site],
      setTokens: async (_: SiteName, tokens: readonly Token[]) => {
        this.tokens[site] = tokens;
        this.expectWhole();
      },
      exchangeWith: () => this.#exchangeOf(site),
      inTurn: <T>(work: () => Promise<T>): Promise<T> => {
        const done = (this.#last[site] ?? Promise.resolve()).then(work);
        this.#last[site] = done.catch(() => undefined);
        return done;
      },
    };
    return new Rotation({ site: site as SiteName, random: systemRandom, links });
  }

  #exchangeOf(from: string): PeerExchange {
    const deliver = async (json: string) => {
      const to = other(from);
      // What is not taken under the first secret is sent again under the second.
      if (!this.tokens[from]?.some((token) => this.#takes(to, token))) return { status: 401, body: {} };
      try {
        const body: unknown = JSON.parse(json);
        return await required(this.rotations[to]).route.handle({ peer: from as SiteName, body });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { status: 409, body: { code: error.code } };
      }
    };
    return {
      post: async (_, json) => {
        const fate = this.fates.shift() ?? "arrives";
        if (fate === "request lost") throw new Error("ECONNRESET");
        if (fate === "late") {
          this.#late.push(() => deliver(json));
          throw new Error("ETIMEDOUT");
        }
        const reply = await deliver(json);
        if (fate === "answer lost") throw new Error("ECONNRESET");
        return { reply };
      },
    };
  }

  #takes(site: string, token: Token): boolean {
    return this.tokens[site]?.some((held) => formatTokenId(held) === formatTokenId(token)) === true;
  }

  /** A message that was given up long ago arrives all the same. */
  async deliverLate(): Promise<void> {
    await this.#late.shift()?.();
  }

  /** As after a crash: what was under way is forgotten, and the files are as they were. */
  async rotate(from: string): Promise<boolean> {
    const never = new AbortController().signal;
    return required(this.rotations[from])
      .rotate(other(from) as SiteName, never)
      .then(
        () => true,
        (error: unknown) => {
          if (error instanceof Refusal) return false;
          throw error;
        },
      );
  }

  /** Whatever was lost, each site's messages are taken by the other, the first or the second time. */
  expectWhole(): void {
    const { calgary = [], zurich = [] } = this.tokens;
    expect(calgary.length).toBeLessThanOrEqual(2);
    expect(calgary.some((token) => this.#takes("zurich", token))).toBe(true);
    expect(zurich.some((token) => this.#takes("calgary", token))).toBe(true);
  }
}

function other(site: string): string {
  return site === "calgary" ? "zurich" : "calgary";
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("there is no such site");
  return value;
}

const step = fc.oneof(
  fc.record({
    begins: fc.constantFrom("calgary", "zurich"),
    fates: fc.array(fc.constantFrom(...fates), { maxLength: 4 }),
  }),
  fc.record({ begins: fc.constant("both"), fates: fc.array(fc.constantFrom(...fates), { maxLength: 6 }) }),
  fc.constant({ begins: "late", fates: [] as Fate[] }),
);

describe("changing a pair's secret", () => {
  it("gives both the same new secret and leaves no other", async () => {
    const pair = new Pair();
    const before = pair.tokens["calgary"];
    expect(await pair.rotate("calgary")).toBe(true);
    expect(pair.tokens["calgary"]).toEqual(pair.tokens["zurich"]);
    expect(pair.tokens["calgary"]).toHaveLength(1);
    expect(pair.tokens["calgary"]).not.toEqual(before);
  });

  it("never leaves the sites without a secret that both hold, whatever is lost, late or begun on both at once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const pair = new Pair();
        for (const { begins, fates: order } of steps) {
          pair.fates = [...order];
          if (begins === "late") await pair.deliverLate();
          else if (begins === "both") await Promise.all([pair.rotate("calgary"), pair.rotate("zurich")]);
          else await pair.rotate(begins);
          pair.expectWhole();
        }
        pair.fates = [];
        // Where one is refused because the other has begun, the other finishes it.
        const isDone =
          (await pair.rotate("calgary")) || ((await pair.rotate("zurich")) && (await pair.rotate("calgary")));
        expect(isDone).toBe(true);
        expect(pair.tokens["calgary"]).toHaveLength(1);
        expect(pair.tokens["calgary"]).toEqual(pair.tokens["zurich"]);
      }),
      { numRuns: 300 },
    );
  });
});
