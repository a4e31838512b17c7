import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { StringDecoder } from "node:string_decoder";
import { openSocketPath } from "../app/admin-socket.ts";
import { Refusal } from "../core/errors.ts";
import { readLocation, type SiteLocation } from "../ops/config/read-config.ts";
import { adminPath } from "../protocol/admin.ts";
import { type ConfigOptions, configPathOf } from "./config-option.ts";
import { type Fields, isFields } from "./fields.ts";
import { CommandRefusal } from "./report.ts";
import { refusalIn, UnreachableRefusal } from "./site-client.ts";

export type AdminCall = {
  readonly command: string;
  readonly body?: Fields;
  readonly onProgress?: (event: Fields) => void;
  /** How long the site may be silent; without it as long as it needs. */
  readonly timeoutMs?: number;
};

const answerBytesMax = 64 * 1024 * 1024;

/** The admin socket of the site that a configuration file names. */
export class AdminClient {
  readonly location: SiteLocation;

  constructor(location: SiteLocation) {
    this.location = location;
  }

  /** @throws Refusal `usage`, `config_invalid` */
  static async of(options: ConfigOptions): Promise<AdminClient> {
    return new AdminClient(await readLocation(configPathOf(options)));
  }

  /**
   * Has the site run a command, and resolves with its result. Ending this process has the site give the command up.
   * @throws Refusal what the site refused it with; `unreachable` where the site does not run, `data_missing`
   */
  async call(call: AdminCall): Promise<Fields> {
    using socket = openSocketPath(this.location.dataFolder);
    const request = this.#send(socket.path, call);
    try {
      const response = await answerTo(request);
      const { status, last } = await readLines(response, call.onProgress);
      return this.#resultIn(call, status, last);
    } catch (error) {
      throw error instanceof Refusal ? error : this.#unreachable(error);
    } finally {
      request.destroy();
    }
  }

  #send(socketPath: string, { command, body, timeoutMs }: AdminCall): ClientRequest {
    const sent = Buffer.from(JSON.stringify(body ?? {}));
    const headers = { "content-type": "application/json", "content-length": sent.length };
    const options = { socketPath, method: "POST", path: adminPath(command), headers, agent: false };
    const request = requestHttp(options);
    if (timeoutMs !== undefined) {
      const reason = new Error(`does not answer within ${timeoutMs / 1000} s`);
      request.setTimeout(timeoutMs, () => request.destroy(reason));
    }
    request.end(sent);
    return request;
  }

  #resultIn({ command }: AdminCall, status: number, last: Fields | undefined): Fields {
    if (isFields(last?.result)) return last.result;
    const problem = isFields(last?.problem) ? last.problem : last;
    const refusal = problem === undefined ? undefined : refusalIn(problem);
    if (refusal?.code === "route_unknown") {
      const detail = `${this.location.site} has no command ${command}`;
      throw new CommandRefusal("route_unknown", detail, "only the commercial edition replicates");
    }
    if (refusal !== undefined) throw refusal;
    throw this.#cut(`its answer makes no sense (HTTP ${status})`);
  }

  #unreachable(error: unknown): Refusal {
    const { site, configPath, dataFolder } = this.location;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") {
      const remedy = `start it: dormouse serve --config ${configPath}`;
      return new UnreachableRefusal(`${site} does not run`, false, remedy);
    }
    if (code === "EACCES" || code === "EPERM") {
      const remedy = "run this as the user that the site runs as";
      return new CommandRefusal("forbidden", `the admin socket in ${dataFolder} is not yours to use`, remedy);
    }
    return this.#cut(error instanceof Error ? error.message : "the call failed");
  }

  #cut(reason: string): Refusal {
    const remedy = "see its log; the command may be repeated";
    return new UnreachableRefusal(`${this.location.site}: ${reason}`, true, remedy);
  }
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", resolve);
  });
}

type Answered = { readonly status: number; readonly last: Fields | undefined };

/** Hands on progress as it comes. What is not a line of JSON is passed over: without an end the answer makes no sense. */
async function readLines(response: IncomingMessage, onProgress: AdminCall["onProgress"]): Promise<Answered> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let last: Fields | undefined;
  const take = (line: string): void => {
    const fields = parseLine(line);
    if (isFields(fields?.progress)) onProgress?.(fields.progress);
    else if (fields !== undefined) last = fields;
  };
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > answerBytesMax) throw new Error("the answer is too large");
    lines.forEach(take);
  }
  take(rest);
  return { status: response.statusCode ?? 0, last };
}

function parseLine(line: string): Fields | undefined {
  if (line === "") return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
