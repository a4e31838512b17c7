import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { readBody } from "./body-bytes.ts";

const mebibyte = 1024 * 1024;
const chunk = Buffer.alloc(64 * 1024, "x");

/** How many turns of the event loop pass between the last byte of a body and the moment at which `readBody` resolves. */
async function turnsAfterEnd(bytes: number): Promise<number> {
  const body = Readable.from(Array.from({ length: bytes / chunk.length }, () => chunk));
  let turns = 0;
  let isRead = false;
  const count = (): void => {
    if (isRead) return;
    turns += 1;
    setImmediate(count);
  };
  body.once("end", () => setImmediate(count));
  const read = await readBody(body, bytes, bytes);
  isRead = true;
  expect(read.length).toBe(bytes);
  expect(read.every((byte) => byte === chunk[0])).toBe(true);
  return turns;
}

describe("the body of a request", () => {
  it("is joined in one go up to a mebibyte, and lets others run after every mebibyte of a larger one", async () => {
    expect(await turnsAfterEnd(mebibyte)).toBe(0);
    expect(await turnsAfterEnd(4 * mebibyte)).toBeGreaterThanOrEqual(3);
  });

  it("is refused by its announced length before it is read", async () => {
    const body = Readable.from([chunk]);
    await expect(readBody(body, 2 * chunk.length, chunk.length)).rejects.toMatchObject({
      code: "body_too_large",
    });
    expect(body.readableDidRead).toBe(false);
  });

  it("is refused when more than the limit has come, whatever was announced", async () => {
    await expect(readBody(Readable.from([chunk, chunk]), undefined, chunk.length)).rejects.toMatchObject({
      code: "body_too_large",
    });
  });

  it("is refused where it is not as long as was announced", async () => {
    await expect(readBody(Readable.from([chunk]), 1, mebibyte)).rejects.toMatchObject({
      code: "invalid_request",
    });
  });
});
