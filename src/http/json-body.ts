import type { IncomingMessage } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Refusal } from "../core/errors.ts";
import { parseJson } from "../protocol/json.ts";
import { readBody } from "./body-bytes.ts";

const decompress = promisify(zstdDecompress);
/** Node sends each chunk to a thread and waits for it, which takes longer than to inflate its default of 16 KiB. */
const chunkSize = 256 * 1024;
/** A body from which reading what it says takes as long again as parsing it: others go between the two. */
const largeBytesMin = 256 * 1024;

/** Takes JSON and nothing else. An import is handed on as bytes: whoever reads it may do so off this thread. */
export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const types = ["application/json", "application/merge-patch+json"];
  app.addContentTypeParser(types, async (request: FastifyRequest, payload: IncomingMessage) => {
    const body = await readBody(payload, lengthOf(request), request.routeOptions.bodyLimit);
    if (request.is404) return undefined;
    requirePatchForMergePatch(request);
    const { isCompressible, isImport, bodyBytesMax } = request.routeOptions.config;
    const bytes = await decode(
      body,
      request.headers["content-encoding"],
      isCompressible ? bodyBytesMax : undefined,
    );
    if (isImport) return bytes;
    const value = bytes.length === 0 ? undefined : parseJson(bytes);
    if (bytes.length >= largeBytesMin) await turn();
    return value;
  });
}

function lengthOf({ headers }: FastifyRequest): number | undefined {
  const length = headers["content-length"];
  return length === undefined ? undefined : Number(length);
}

function requirePatchForMergePatch(request: FastifyRequest): void {
  if (request.method !== "PATCH" && request.headers["content-type"]?.includes("merge-patch")) {
    throw new Refusal("unsupported_media_type");
  }
}

/** The body without its content encoding. @param bytesMax what it may come to; undefined where no encoding is taken */
async function decode(
  body: Buffer,
  encoding: string | undefined,
  bytesMax: number | undefined,
): Promise<Buffer> {
  if (encoding === undefined || encoding === "identity") return body;
  if (encoding !== "zstd" || bytesMax === undefined) {
    throw new Refusal("unsupported_media_type", "This call does not take the body's content encoding.");
  }
  try {
    return await decompress(body, { maxOutputLength: bytesMax, chunkSize });
  } catch (error) {
    const isTooLarge = error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    throw isTooLarge ? new Refusal("body_too_large") : new Refusal("malformed_json", "The body is not zstd.");
  }
}
