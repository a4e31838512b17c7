import { expect, it } from "vitest";
import { SeededRandom } from "../../test/support/ports.ts";
import { Refusal } from "../core/errors.ts";
import { newPassphrase } from "./new-passphrase.ts";
import { refuseWeakPassphrase } from "./passphrase-strength.ts";

async function refusalOf(passphrase: string, known: readonly string[] = []): Promise<Refusal | undefined> {
  try {
    await refuseWeakPassphrase(passphrase, known);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

it.each(["hunter2", "Tr0ub4dour&3", "qwertyuiopasdfgh", "aaaaaaaaaaaaaaaaaaaaaaaa", "2026-11-23"])(
  "%s is refused with advice that does not repeat it",
  async (passphrase) => {
    const refusal = await refusalOf(passphrase);
    expect(refusal?.code).toBe("passphrase_weak");
    expect(refusal?.message).not.toContain(passphrase);
    expect(refusal?.mistakes).toEqual([]);
  },
);

it("one that was made here is strong enough", async () => {
  expect(await refusalOf(await newPassphrase(new SeededRandom(1)))).toBeUndefined();
});

it("what stands beside it makes it weak: the login, the vault's name", async () => {
  const passphrase = "xqzvbrwkplmt";
  expect(await refusalOf(passphrase)).toBeUndefined();
  expect((await refusalOf(passphrase, [passphrase]))?.code).toBe("passphrase_weak");
});

it("the dearest of the longest are judged by their first part, off the event loop", async () => {
  const dear = "4@8({[<369&#!1/|0$5+7%2".repeat(12).slice(0, 256);
  let turns = 0;
  const count = setInterval(() => {
    turns += 1;
  }, 5);
  expect(await refusalOf(dear)).toBeUndefined();
  clearInterval(count);
  expect(turns).toBeGreaterThan(10);
});

it("a crowd of them is told to come back, and the others get their answers", async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => refusalOf("hunter2")));
  const codes = answers.map((refusal) => refusal?.code);
  expect(codes.filter((code) => code === "passphrase_weak")).toHaveLength(8);
  expect(codes.filter((code) => code === "busy")).toHaveLength(2);
});
