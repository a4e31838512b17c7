import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Refusal } from "../../core/errors.ts";
import { readConfig } from "./read-config.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-config-"));
  await writeFile(join(folder, "token"), `dms_${"0a".repeat(16)}_${"s".repeat(49)}`, { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

const valid = {
  edition: "commercial",
  site: "calgary",
  data: "./data",
  listen: { host: "127.0.0.1", port: 8200, behind_proxy: ["10.0.0.0/8"] },
  public_url: "https://calgary.example",
  replication: {
    peers: [{ site: "zurich", url: "https://zurich.example", token_file: "token" }],
    batch_size: 100,
    max_retries: 5,
    request_timeout_ms: 30_000,
    backoff: { base_ms: 1_000, factor: 5, cap_ms: 625_000, probe_ms: 900_000 },
  },
  alerts: { lag_after_ms: 120_000, webhook: "https://hooks.example/x" },
  disk_free_min_bytes: 1,
  admin_over_http: true,
};

/** Every place of the valid file, as steps from the top. */
function placesIn(value: unknown, above: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [
    [...above, key],
    ...placesIn(child, [...above, key]),
  ]);
}

function replaceAt(value: unknown, [step, ...rest]: readonly string[], by: unknown): unknown {
  if (step === undefined) return by;
  if (Array.isArray(value))
    return value.map((item: unknown, i) => (String(i) === step ? replaceAt(item, rest, by) : item));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, child]) => [
    key,
    key === step ? replaceAt(child, rest, by) : child,
  ]);
  return Object.fromEntries(entries);
}

/** A configuration or a refusal with a line for every mistake; anything else is a bug. */
async function outcomeOf(text: string): Promise<"taken" | "refused"> {
  const path = join(folder, "site.yaml");
  await writeFile(path, text);
  try {
    await readConfig(path);
    return "taken";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    expect(error.mistakes.length).toBeGreaterThan(0);
    for (const mistake of error.mistakes) expect(mistake.path).toMatch(/^line [1-9]\d*/);
    return "refused";
  }
}

test("whatever stands at any place of the file, it is taken or refused with a line, and never breaks the reader", async () => {
  expect(await outcomeOf(JSON.stringify(valid))).toBe("taken");
  const place = fc.constantFrom(...placesIn(valid));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(place, fc.jsonValue()), { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const changed = changes.reduce<unknown>((value, [at, by]) => replaceAt(value, at, by), valid);
        await outcomeOf(JSON.stringify(changed, undefined, 1));
      },
    ),
    { numRuns: 300 },
  );
});

test("whatever is cut out of the file's text or put into it, the same holds", async () => {
  const text = JSON.stringify(valid, undefined, 1);
  const noise = fc.oneof(
    fc.string(),
    fc.constantFrom("\t", "---\n", "&a ", "*a", "!!x ", "? ", "- ", "{", "]", '"', "\0"),
  );
  const cut = fc.tuple(fc.nat(text.length), fc.nat(20), noise);
  await fc.assert(
    fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 3 }), async (cuts) => {
      await outcomeOf(
        cuts.reduce((all, [at, length, by]) => all.slice(0, at) + by + all.slice(at + length), text),
      );
    }),
    { numRuns: 500 },
  );
});

test("random text is never taken and never breaks the reader", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary", maxLength: 200 }), async (text) => {
      expect(await outcomeOf(text)).toBe("refused");
    }),
    { numRuns: 300 },
  );
});
