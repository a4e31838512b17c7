import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { WritesInFlight } from "../core/writes-in-flight.ts";
import type { Transacts } from "../core/store/store.ts";
import { requestBytesMax } from "../protocol/limits.ts";
import type { HttpContext } from "./call.ts";
import { type ConnectionCaps, connectionCaps } from "./connection-caps.ts";
import { watchConnections } from "./connections.ts";
import { acceptJson } from "./json-body.ts";
import { KeptVaults } from "./kept-vaults.ts";
import { People } from "./people/people.ts";
import { siteReadiness } from "./readiness.ts";
import { refuseMalformedHttp, refuseUnknownRoutes, sendProblem } from "./refusals.ts";
import { registerRoutes } from "./register-routes.ts";
import { AnswerLog } from "./request-log.ts";
import { workInLanes } from "./request-lanes.ts";
import { Resealing } from "./resealing.ts";
import { securityHeaders, tlsHeaders } from "./security-headers.ts";
import { clientCertificateOptions, secureContextOf } from "./secure-context.ts";
import type { ServerOptions } from "./server-options.ts";
import { finishDeletions } from "./vault-deletion.ts";
import "./fastify-types.ts";

const defaultDeadlineMs = 30_000;
const defaultKeepAliveMs = 5_000;
/** A timer of TLS of its own, kept short because a cleared timer still wakes the process when it would have fired. */
const defaultHandshakeMs = 10_000;

/**
 * The site's HTTP API, ready to listen. Its owner closes it: `close` lets what is in flight finish, ends waits and closes
 * idle connections at once. With nobody connected it has no timer.
 */
export function buildServer(options: ServerOptions): FastifyInstance {
  const closing = new AbortController();
  const app = buildApp(options, closing);
  app.decorateRequest("admitted", undefined as never);
  app.decorateRequest("isRecorded", false);
  app.decorateRequest("endWrite", undefined);
  app.decorateRequest("actor", undefined);
  const context = contextOf(options, closing.signal);
  app.addHook("onClose", () => context.resealing.idle());
  refuseUnknownRoutes(app, registerRoutes(app, context));
  return app;
}

export type AppOptions = Pick<
  ServerOptions,
  | "random"
  | "logger"
  | "logTogether"
  | "tls"
  | "deadlineMs"
  | "keepAliveMs"
  | "handshakeMs"
  | "acceptsFrom"
  | "isProxy"
  | "caps"
  | "onAlone"
>;

/**
 * A server without routes: what any of them has of headers, refusals, log lines, limits and deadlines.
 * @param closing aborted when the server begins to close
 */
export function buildApp(options: AppOptions, closing: AbortController): FastifyInstance {
  const { logger } = options;
  const app = createApp(options);
  app.addHook("onRequest", (_, reply, done) => {
    setCommonHeaders(options, reply);
    done();
  });
  const answerLog = new AnswerLog(logger, options.logTogether);
  app.addHook("onResponse", (request, reply, done) => {
    answerLog.add({ request, reply });
    done();
  });
  app.setErrorHandler((error, request, reply) => sendProblem(logger, error, request, reply));
  acceptJson(app);
  const keepAliveMs = options.keepAliveMs ?? defaultKeepAliveMs;
  const deadlineMs = options.deadlineMs ?? defaultDeadlineMs;
  const { acceptsFrom, isProxy, caps = connectionCaps() } = options;
  const connections = watchConnections(app.server, {
    deadlineMs,
    keepAliveMs,
    caps,
    ...(isProxy && { isProxy }),
    onFull: logFull(logger, caps),
    ...(options.onAlone && { onAlone: options.onAlone }),
    ...(acceptsFrom && { accepts: acceptFrom(acceptsFrom, logger) }),
  });
  workInLanes(app.server);
  app.addHook("preClose", async () => {
    closing.abort();
    connections.close();
  });
  return app;
}

const defaultKeepVersions = 20;

function setCommonHeaders({ tls }: AppOptions, reply: FastifyReply): void {
  reply.headers(tls ? tlsHeaders : securityHeaders);
  reply.header("request-id", reply.request.id);
}

function contextOf(options: ServerOptions, closing: AbortSignal): HttpContext {
  const { store, edition, clock, random, logger, site, version, adminCommands = [] } = options;
  const readiness = options.readiness ?? siteReadiness(store);
  const testAlerts = options.testAlerts ?? (async () => []);
  const demandsCertificates = options.tls?.clientCa !== undefined;
  const people = new People({ store, clock, random });
  const keptVaults = new KeptVaults(clock);
  const resealing = new Resealing({ store, edition, clock, random, logger, closing });
  const onCommit = () => edition.signalReplication();
  return {
    people,
    audit: options.audit ?? { record: (event) => store.journal.record(event).catch(() => undefined) },
    isProxy: options.isProxy ?? (() => false),
    resealing,
    keepVersions: options.keepVersions ?? defaultKeepVersions,
    store,
    commit: commitWith(store, keptVaults),
    finishDeletions: () => finishDeletions({ store, clock, onCommit, signal: closing }),
    keptVaults,
    edition,
    writesInFlight: options.writesInFlight ?? new WritesInFlight(),
    clock,
    random,
    site,
    version,
    readiness,
    testAlerts,
    adminCommands,
    logger,
    demandsCertificates,
    closing,
  };
}

function commitWith(store: Transacts<"rows">, keptVaults: KeptVaults): HttpContext["commit"] {
  return async (record, write) => {
    const changed = await store.transact((tx) => tx.rows.write({ ...write, audit: record.event }));
    record.isCommitted = true;
    keptVaults.changed(changed);
    return changed;
  };
}

/** So many addresses are logged, each once: whoever knocks from many must not fill the disk. */
const loggedAddressesMax = 100;

/** Between two log lines of connections that were refused: an attack must not fill the disk. */
const fullSilenceMs = 60_000;

function logFull(logger: ServerOptions["logger"], caps: ConnectionCaps): (address: string) => void {
  let saidAt = Number.NEGATIVE_INFINITY;
  return (address) => {
    if (performance.now() - saidAt < fullSilenceMs) return;
    saidAt = performance.now();
    logger.warn(
      { address, ...caps },
      "a connection was refused: there are as many as this site takes, all at work",
    );
  };
}

function acceptFrom(
  isTaken: (address: string) => boolean,
  logger: ServerOptions["logger"],
): (address: string) => boolean {
  const logged = new Set<string>();
  return (address) => {
    if (isTaken(address)) return true;
    if (!logged.has(address) && logged.size < loggedAddressesMax) {
      logged.add(address);
      logger.warn({ address }, "a connection without TLS from beyond listen.behind_proxy was refused");
    }
    return false;
  };
}

function createApp(options: AppOptions): FastifyInstance {
  // Node's checker of connections, and only it, would wake a sleeping process; connections.ts does its work instead.
  const node = { connectionsCheckingInterval: 2 ** 31 - 1 };
  const common = {
    logger: false,
    bodyLimit: requestBytesMax,
    keepAliveTimeout: options.keepAliveMs ?? defaultKeepAliveMs,
    genReqId: requestIds(options),
    requestIdHeader: false as const,
    // Requests that still arrive are refused in our own form.
    return503OnClosing: false,
    clientErrorHandler: refuseMalformedHttp,
    // An address that cannot be decoded passes no hook.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      setCommonHeaders(options, reply);
      sendProblem(options.logger, error, request, reply);
    },
  };
  if (options.tls === undefined) return fastify({ ...common, http: node });
  const { tls, handshakeMs = defaultHandshakeMs } = options;
  const https = {
    ...node,
    ...secureContextOf(tls),
    ...clientCertificateOptions(tls),
    handshakeTimeout: handshakeMs,
  };
  // Both servers are the same to everything here; only Fastify's types tell them apart.
  return fastify({ ...common, https }) as unknown as FastifyInstance;
}

/** Ids that tell requests apart across restarts, for a fraction of what random ones cost. */
function requestIds({ random }: AppOptions): () => string {
  const prefix = Buffer.from(random.bytes(6)).toString("hex");
  let count = 0;
  return () => {
    count += 1;
    return `${prefix}-${count.toString(36)}`;
  };
}
