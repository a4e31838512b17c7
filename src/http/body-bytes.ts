import { setImmediate as turn } from "node:timers/promises";
import type { Readable } from "node:stream";
import { Refusal } from "../core/errors.ts";

/** How many bytes are joined in one go. The system gives the memory of a large body page by page, which takes longer than to fill it. */
const joinedPerTurn = 1024 * 1024;

/**
 * Reads the body of a request into one buffer of its own. A large one is joined in slices with a turn of the event loop
 * between them: 7 MB in one go would hold up everybody for 25 ms.
 * @param announced the request's Content-Length; undefined where it has none
 * @throws Refusal `body_too_large` before it is read where its length says so; `invalid_request` where it has another length
 */
export async function readBody(
  body: Readable,
  announced: number | undefined,
  bytesMax: number,
): Promise<Buffer> {
  if (announced !== undefined && announced > bytesMax) throw new Refusal("body_too_large");
  const chunks = await gather(body, bytesMax);
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (announced !== undefined && announced !== bytes) throw new Refusal("invalid_request");
  return bytes <= joinedPerTurn ? Buffer.concat(chunks, bytes) : await joinInSlices(chunks, bytes);
}

function gather(body: Readable, bytesMax: number): Promise<readonly Buffer[]> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (act: () => void): void => {
      body.removeListener("data", onData).removeListener("end", onEnd).removeListener("error", onError);
      act();
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > bytesMax) settle(() => reject(new Refusal("body_too_large")));
    };
    const onEnd = (): void => settle(() => resolve(chunks));
    const onError = (error: Error): void => settle(() => reject(error));
    body.on("data", onData).on("end", onEnd).on("error", onError).resume();
  });
}

async function joinInSlices(chunks: readonly Buffer[], bytes: number): Promise<Buffer> {
  const joined = Buffer.allocUnsafeSlow(bytes);
  let end = 0;
  let pausedAt = 0;
  for (const chunk of chunks) {
    if (end - pausedAt >= joinedPerTurn) {
      await turn();
      pausedAt = end;
    }
    end += chunk.copy(joined, end);
  }
  return joined;
}
