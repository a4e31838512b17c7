import { expect, it } from "vitest";
import { type PageCall, type PageOptions, readPages } from "./pages.ts";

/** A list of 1,200 that answers three fewer than asked. */
async function read(options: PageOptions) {
  const calls: PageCall[] = [];
  const { bodies, next } = await readPages("items", options, async (call) => {
    calls.push(call);
    const from = Number(call.cursor ?? 0);
    const to = Math.min(1_200, from + Math.max(1, call.limit - 3));
    const items = Array.from({ length: to - from }, (_, index) => ({ index: from + index }));
    return { status: 200, etag: undefined, body: { items, next_cursor: to === 1_200 ? null : to } };
  });
  const items = bodies.flatMap((body) => body.items as { readonly index: number }[]);
  return { calls, next, indices: items.map(({ index }) => index) };
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

it("calls go on until there is as much as is wanted, and ask for no more than that", async () => {
  const { indices, calls, next } = await read({ limit: 600 });
  expect(indices).toEqual(upTo(600));
  expect(next).toBe("600");
  expect(calls.map(({ limit }) => limit)).toEqual([500, 103, 3, 2, 1]);
});

it("all are all, and nothing is left", async () => {
  const { indices, next } = await read({ limit: 1, all: true });
  expect(indices).toEqual(upTo(1_200));
  expect(next).toBeNull();
});

it("a list goes on where another ended", async () => {
  const { indices, next } = await read({ limit: 4, cursor: "1198" });
  expect(indices).toEqual([1198, 1199]);
  expect(next).toBeNull();
});
