import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { errorCodes, type ErrorCode, type Mistake, Refusal } from "../core/errors.ts";
import { urlUnder } from "../core/base-url.ts";
import { waitSecondsMax } from "../protocol/limits.ts";
import { type Fields, isFields, textOr } from "./fields.ts";
import { CommandRefusal } from "./report.ts";

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Under the site's URL, with its query. */
  readonly path: string;
  /** JSON text. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

export type Answer = { readonly status: number; readonly etag: string | undefined; readonly body: Fields };

/** No site of ours answered. */
export class UnreachableRefusal extends CommandRefusal {
  /** Whether the call may have been taken all the same, and only its answer was lost. */
  readonly mayHaveArrived: boolean;

  constructor(detail: string, mayHaveArrived: boolean, remedy: string = errorCodes.unreachable.remedy) {
    super("unreachable", detail, remedy);
    this.mayHaveArrived = mayHaveArrived;
  }
}

/**
 * How long a site may be silent before it counts as unreachable. An import of 16 MiB is answered well within, and the longest
 * wait for backups.
 */
const silenceMsUsual = 1_000 * (waitSecondsMax + 30);
const answerBytesMax = 64 * 1024 * 1024;

export type SiteClientOptions = {
  readonly silenceMs?: number;
  /** Told of the position that an answer names: the site's newest, or that of the write. */
  readonly onPosition?: (position: string) => void;
};

/**
 * Calls to one site. Built on node:http because a command lives for one or two requests: it loads in a third of the time of
 * a pooling client and leaves nothing behind that delays the exit. Redirects are not followed: a token is for one site.
 */
export class SiteClient {
  readonly #base: URL;
  readonly #token: string | undefined;
  #way: Promise<Way> | undefined;
  readonly #silenceMs: number;
  readonly #onPosition: (position: string) => void;

  constructor(base: URL, token: string | undefined, options: SiteClientOptions = {}) {
    this.#silenceMs = options.silenceMs ?? silenceMsUsual;
    this.#onPosition = options.onPosition ?? (() => {});
    this.#base = base;
    this.#token = token;
  }

  /**
   * The answer to a call that the site took (2xx).
   * @throws Refusal with the site's own code and detail; `unreachable` where no site of ours answered
   */
  async call(call: Call): Promise<Answer> {
    const { status, headers, text } = await this.#exchange(call);
    const body = parseBody(text);
    const position = headers["dormouse-position"];
    if (typeof position === "string") this.#onPosition(position);
    if (status >= 200 && status < 300 && body !== undefined) return { status, etag: headers.etag, body };
    throw this.#refusal(status, headers, body);
  }

  /** Ends the kept connection, so that the process may end. */
  close(): void {
    void this.#way?.then(({ agent }) => agent.destroy());
  }

  async #exchange(call: Call): Promise<Exchange> {
    try {
      this.#way ??= openWay(this.#base);
      return await readAnswer(this.#send(call, await this.#way));
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw this.#unreachable(reasonOf(error), !isNeverSent(error));
    }
  }

  #send(call: Call, { agent, request: begin }: Way): ClientRequest {
    const body = call.body === undefined ? undefined : Buffer.from(call.body);
    const headers: Record<string, string | number> = { accept: "application/json", ...call.headers };
    if (this.#token !== undefined) headers.authorization = `Bearer ${this.#token}`;
    if (body !== undefined) {
      headers["content-type"] ??= "application/json";
      headers["content-length"] = body.length;
    }
    const options = { method: call.method, headers, agent, timeout: this.#silenceMs };
    const request = begin(urlUnder(this.#base, call.path), options);
    request.on("timeout", () => request.destroy(new Error(`no answer within ${this.#silenceMs / 1000} s`)));
    request.end(body);
    return request;
  }

  #refusal(status: number, headers: IncomingMessage["headers"], body: Fields | undefined): Refusal {
    if (status >= 300 && status < 400) return this.#unreachable(`it answered with a redirect (${status})`);
    const refusal = body === undefined ? undefined : refusalIn(body);
    if (refusal === undefined)
      return this.#unreachable(`what answered there is no Dormouse (HTTP ${status})`, true);
    const primary = headers["x-primary-location"];
    if (typeof primary !== "string") return refusal;
    return new CommandRefusal(refusal.code, refusal.message, `write to ${primary}`);
  }

  #unreachable(reason: string, mayHaveArrived = false): UnreachableRefusal {
    return new UnreachableRefusal(`${this.#base.origin}: ${reason}`, mayHaveArrived);
  }
}

type Way = { readonly agent: Agent; readonly request: typeof requestHttp };

/** TLS is loaded for a site that speaks it: it would be a fifth of a command's start. */
async function openWay({ protocol }: URL): Promise<Way> {
  if (protocol !== "https:") return { agent: new Agent({ keepAlive: true }), request: requestHttp };
  const https = await import("node:https");
  return { agent: new https.Agent({ keepAlive: true }), request: https.request };
}

type Exchange = {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
};

function readAnswer(request: ClientRequest): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    // An answer may come before the body is sent whole (413, 503); the broken pipe that follows is no news then.
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let total = 0;
      response.on("data", (chunk: Buffer) => {
        total += chunk.length;
        if (total > answerBytesMax) response.destroy(new Error("the answer is too large"));
        else chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString("utf8"),
        }),
      );
    });
  });
}

function parseBody(text: string): Fields | undefined {
  if (text === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The refusal that a problem's members tell of; undefined where they are none of ours. */
export function refusalIn(problem: Fields): Refusal | undefined {
  const { code } = problem;
  if (typeof code !== "string") return undefined;
  const detail = textOr(problem, "detail", textOr(problem, "title", "the site refused it"));
  if (!Object.hasOwn(errorCodes, code))
    return new CommandRefusal("internal", `${code}: ${detail}`, "upgrade this command");
  return new Refusal(code as ErrorCode, detail, mistakesOf(problem.errors));
}

function mistakesOf(errors: unknown): readonly Mistake[] {
  if (!Array.isArray(errors)) return [];
  return errors.filter(isFields).map((error) => ({
    path: textOr(error, "path", ""),
    message: textOr(error, "message", ""),
  }));
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was cut",
  EPIPE: "the connection was cut",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the name could not be looked up",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  ETIMEDOUT: "the connection timed out",
};

const neverSent: readonly string[] = [
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
];

function isNeverSent(error: unknown): boolean {
  return error instanceof Error && "code" in error && neverSent.includes(String(error.code));
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "the call failed";
  const code = "code" in error ? String(error.code) : "";
  return reasons[code] ?? (error.message || code || "the call failed");
}
