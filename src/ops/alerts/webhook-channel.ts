import { type Dispatcher, errors, Pool } from "undici";
import type { Alert } from "../../core/alert-events.ts";
import type { SiteName } from "../../core/ids.ts";
import { errnoOf } from "../config/secret-files.ts";
import { type AlertChannel, DeliveryError } from "./alert-channel.ts";

const defaultTimeoutMs = 10_000;
const answerBytesMax = 16 * 1024;

/**
 * Posts alerts to a URL as JSON. Any 2xx means taken; redirects are not followed, because the alert would go where nobody
 * configured it to go. The URL's path and query are as good as a password, so no error and no log names them.
 */
export class WebhookChannel implements AlertChannel {
  readonly name = "webhook";
  readonly target: string;
  readonly #site: SiteName;
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #pool: Pool;

  constructor(options: { readonly url: string; readonly site: SiteName; readonly timeoutMs?: number }) {
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const url = new URL(options.url);
    this.target = url.origin;
    this.#site = options.site;
    this.#path = url.pathname + url.search;
    // Its own time-outs are off: the deadline below covers the whole delivery, and leaves no timer behind.
    this.#pool = new Pool(url.origin, {
      connections: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: this.#timeoutMs },
    });
  }

  async deliver(alert: Alert, signal: AbortSignal): Promise<void> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), this.#timeoutMs);
    try {
      await this.#post(alert, AbortSignal.any([signal, deadline.signal]));
    } catch (error) {
      if (error instanceof DeliveryError) throw error;
      if (signal.aborted) throw new DeliveryError("the site is stopping");
      if (deadline.signal.aborted) throw new DeliveryError(`it did not answer within ${this.#timeoutMs} ms`);
      throw new DeliveryError(describe(error));
    } finally {
      clearTimeout(timer);
    }
  }

  async #post(alert: Alert, signal: AbortSignal): Promise<void> {
    const { statusCode, body } = await this.#pool.request({
      method: "POST",
      path: this.#path,
      headers: { "content-type": "application/json", accept: "*/*", "user-agent": "dormouse" },
      body: JSON.stringify(webhookBody(alert, this.#site)),
      // Alerts are rare: a connection kept open for the next one would only be a socket to watch.
      reset: true,
      signal,
    });
    await discard(body, signal);
    if (statusCode >= 200 && statusCode < 300) return;
    const hint = statusCode >= 300 && statusCode < 400 ? "; redirects are not followed" : "";
    throw new DeliveryError(`it answered ${statusCode}${hint}`);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** The body that docs/OPERATIONS.md promises to receivers. */
function webhookBody(alert: Alert, site: SiteName): object {
  const { event, severity, message, details, at, incident } = alert;
  return { event, site, severity, message, details, at: new Date(at).toISOString(), incident };
}

/** The status has said all; what follows is read only so that the other end is not cut off, and only a little of it. */
async function discard(body: Dispatcher.ResponseData["body"], signal: AbortSignal): Promise<void> {
  await body.dump({ limit: answerBytesMax, signal }).catch(() => undefined);
}

function describe(error: unknown): string {
  if (error instanceof errors.HTTPParserError) return "its answer is not HTTP";
  const code = errnoOf(error);
  return code === undefined ? "the delivery failed" : `it cannot be reached (${code})`;
}
