import { request as requestHttp } from "node:http";
import { connect, type Socket } from "node:net";
import { pino } from "pino";
import { systemClock, systemRandom } from "../../src/app/system-ports.ts";
import type { AdminCommand, AdminRequest } from "../../src/core/edition.ts";
import { type AdminServerOptions, buildAdminServer, listenOnSocket } from "../../src/http/admin-server.ts";

/** A command as a test gives it. */
export function command(name: string, handle: (request: AdminRequest) => Promise<object>): AdminCommand {
  return { name, handle };
}

/** A real server on a real socket, with commands of the test's own. */
export async function openAdminServer(
  path: string,
  commands: readonly AdminCommand[],
  options: Partial<AdminServerOptions> = {},
) {
  const logged: string[] = [];
  const logger = pino({ level: "debug" }, { write: (line: string) => void logged.push(line) });
  const audit = { record: async () => undefined };
  const ports = { clock: systemClock, random: systemRandom, audit };
  const app = buildAdminServer({ ...ports, logger, commands, ...options });
  await listenOnSocket(app, path);
  return { app, logged, [Symbol.asyncDispose]: () => app.close() };
}

export type AdminAnswer = {
  readonly status: number;
  readonly type: string | undefined;
  /** Each line as JSON; one for a refusal that is no stream. */
  readonly lines: readonly { readonly [name: string]: unknown }[];
};

export type AdminSending = {
  readonly method?: string;
  readonly type?: string;
  /** Ends the call from this side. */
  readonly signal?: AbortSignal;
};

/** One call, with the body as text or as JSON. */
export function askAdmin(
  socketPath: string,
  path: string,
  body: unknown = {},
  { method = "POST", type = "application/json", signal }: AdminSending = {},
): Promise<AdminAnswer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = { "content-type": type, "content-length": Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const sent = requestHttp({ socketPath, path, method, headers, agent: false, ...(signal && { signal }) });
    sent.on("error", reject).on("response", (response) => {
      let answered = "";
      response.on("error", reject).on("data", (chunk) => {
        answered += String(chunk);
      });
      response.on("end", () => {
        const lines = answered.split("\n").filter((line) => line !== "");
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers["content-type"],
          lines: lines.map((line) => JSON.parse(line) as AdminAnswer["lines"][number]),
        });
      });
    });
    sent.end(text);
  });
}

/** A raw connection, and everything that came on it until the server ended it. */
export function openRaw(path: string): { readonly socket: Socket; readonly ended: Promise<string> } {
  const socket = connect(path);
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString();
  });
  socket.on("error", () => {});
  const ended = new Promise<string>((resolve) => void socket.on("close", () => resolve(received)));
  return { socket, ended };
}
