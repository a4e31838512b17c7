import { describe, expect, it } from "vitest";
import { groupLines, type ImportGroup, LineRefusal } from "./import-lines.ts";

const wide = { bytes: 1_000_000, entries: 1_000 };

async function* inChunks(text: string | Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

async function collect(groups: AsyncIterable<ImportGroup>): Promise<ImportGroup[]> {
  const collected: ImportGroup[] = [];
  for await (const group of groups) collected.push(group);
  return collected;
}

async function groupsOf(text: string, limit = wide, chunkBytes = 7, firstLine = 1): Promise<ImportGroup[]> {
  return await collect(groupLines(inChunks(text, chunkBytes), limit, firstLine));
}

async function refusalOf(text: string | Uint8Array, limit = wide): Promise<LineRefusal> {
  const error = await collect(groupLines(inChunks(text, 64 * 1024), limit)).catch(
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof LineRefusal)) throw new Error("no line was refused");
  return error;
}

describe("JSON lines in groups", () => {
  it.each([1, 2, 3, 1000])("are the same however they arrive, %i bytes at a time", async (chunkBytes) => {
    const text = `{"title":"ü"}\n\n  {"title":"🐭"}\r\n{"title":"c"}`;
    const groups = await groupsOf(text, wide, chunkBytes);
    expect(groups).toEqual([
      { text: `{"entries":[{"title":"ü"},{"title":"🐭"},{"title":"c"}]}`, lineNumbers: [1, 3, 4] },
    ]);
  });

  it("never pass the limit in bytes, and leave out no line", async () => {
    const lines = Array.from({ length: 200 }, (_, index) => JSON.stringify({ title: "é".repeat(index) }));
    const groups = await groupsOf(lines.join("\n"), { bytes: 1_000, entries: 1_000 });
    for (const { text } of groups) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1_000);
    const entries = groups.flatMap(({ text }) => (JSON.parse(text) as { entries: unknown[] }).entries);
    expect(entries).toEqual(lines.map((line) => JSON.parse(line)));
    expect(groups.flatMap(({ lineNumbers }) => lineNumbers)).toEqual(lines.map((_, index) => index + 1));
  });

  it("never pass the limit in entries", async () => {
    const groups = await groupsOf("{}\n".repeat(7), { bytes: 1_000, entries: 3 });
    expect(groups.map(({ lineNumbers }) => lineNumbers)).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
  });

  it("begin at the line that is asked for, whatever stands before it", async () => {
    expect(await groupsOf("nonsense\n{}\n{}", wide, 7, 2)).toEqual([
      { text: `{"entries":[{},{}]}`, lineNumbers: [2, 3] },
    ]);
  });

  it("are none for an empty file", async () => {
    expect(await groupsOf("\n \n")).toEqual([]);
  });

  it("keep the text of a line, so that the site judges what stands there", async () => {
    const line = `{"__proto__":{"a":1},"n":1e400,"a":1,"a":2}`;
    expect((await groupsOf(line))[0]?.text).toBe(`{"entries":[${line}]}`);
  });

  it("take a byte order mark for nothing", async () => {
    expect((await groupsOf("\ufeff{}"))[0]?.text).toBe(`{"entries":[{}]}`);
  });
});

describe("a line that is no entry", () => {
  it.each([
    ["{", "it is not JSON"],
    ["[1]", "it is not a JSON object"],
    ["null", "it is not a JSON object"],
    [`"hunter2"`, "it is not a JSON object"],
  ])("is named by its number and not repeated: %s", async (line, why) => {
    const refusal = await refusalOf(`{}\n\n${line}\n{}`);
    expect(refusal.message).toBe(`line 3: ${why}`);
    expect([refusal.lineNumber, refusal.groupStart]).toEqual([3, 1]);
  });

  it("says from which line its group starts", async () => {
    const refusal = await refusalOf("{}\n{}\n{}\n{}\n{}\nx", { bytes: 1_000, entries: 2 });
    expect([refusal.lineNumber, refusal.groupStart]).toEqual([6, 5]);
  });

  it("may be one that is not UTF-8", async () => {
    expect((await refusalOf(Buffer.from([0x7b, 0xff, 0x7d]))).message).toBe("line 1: it is not UTF-8");
  });

  it("may be one that never ends: no more of it is held than an entry can have", async () => {
    let taken = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        taken += 65_536;
        yield Buffer.alloc(65_536, "x");
      }
    }
    const read = collect(groupLines(endless(), wide));
    await expect(read).rejects.toThrow("line 1: it is too long for an entry");
    expect(taken).toBeLessThan(4 * 1024 * 1024);
  });
});
