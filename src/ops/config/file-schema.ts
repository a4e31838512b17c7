import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { readBaseUrl } from "../../core/base-url.ts";
import { isSiteName } from "../../core/ids.ts";

/** The file as it is written: flat, snake_case, everything that has a default optional. What depends on more than one key is in rules.ts. */

const dayMs = 86_400_000;

/** A message that tells a missing key from a wrong one; it never holds the value. */
function expected(what: string): { error: (issue: { readonly input?: unknown }) => string } {
  return {
    error: ({ input }) => {
      if (input === undefined) return `is missing; it must be ${what}`;
      return input === null ? `is empty; it must be ${what}, or be left away` : `must be ${what}`;
    },
  };
}

function wholeNumber(min: number, max: number, unit = ""): z.ZodType<number> {
  const isInside = (value: unknown): boolean =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return z.custom<number>(isInside, expected(`a whole number${unit} from ${min} to ${max}, without quotes`));
}

function milliseconds(min: number, max: number): z.ZodType<number> {
  return wholeNumber(min, max, " of milliseconds");
}

function matching(what: string, isRight: (text: string) => boolean): z.ZodType<string> {
  return z.custom<string>((value) => typeof value === "string" && isRight(value), expected(what));
}

function section<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, expected("a group of keys, indented under it"));
}

const filePath = matching(
  "the path of a file or folder",
  (text) => text.trim() !== "" && !text.includes("\0"),
);

/** Only scheme, host and port: a path, a query or a password in it would be dropped silently or end up in logs. */
function isOriginUrl(text: string): boolean {
  const found = readBaseUrl(text);
  return found.kind === "read" && text === text.trim() && found.url.pathname === "/" && !text.endsWith("//");
}

/** An http or https URL without a user name or password; undefined for anything else. */
export function parseHttpUrl(text: string): URL | undefined {
  if (!URL.canParse(text) || /[\s\\]/.test(text)) return undefined;
  const url = new URL(text);
  const isHttp = url.protocol === "https:" || url.protocol === "http:";
  return isHttp && url.username === "" && url.password === "" ? url : undefined;
}

const originUrl = matching(
  "a URL of scheme, host and port alone, such as https://zurich.example",
  isOriginUrl,
);

function isHost(text: string): boolean {
  return isIP(text) !== 0 || (text.length <= 253 && /^(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/i.test(text));
}

/** `10.0.0.0/8`, `::1/128`. */
function isCidr(text: string): boolean {
  const [address = "", bits = "", ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(bits)) return false;
  try {
    new BlockList().addSubnet(address, Number(bits), family === 4 ? "ipv4" : "ipv6");
    return true;
  } catch {
    return false;
  }
}

const siteName = matching("a site's name: 1 to 63 of a-z, 0-9 and -, beginning with a letter", (text) =>
  isSiteName(text),
);

/** 64 hex digits, as `openssl x509 -fingerprint -sha256` prints them or without the colons. */
const fingerprint = matching(
  "the SHA-256 fingerprint of a certificate: 64 hex digits, with or without colons",
  (text) => /^(?:[0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})$/i.test(text),
);

const peerTls = section({
  ca: filePath.optional(),
  fingerprint: fingerprint.optional(),
  cert: filePath.optional(),
  key: filePath.optional(),
});

const peer = section({ site: siteName, url: originUrl, token_file: filePath, tls: peerTls.optional() });

const backoff = section({
  base_ms: milliseconds(10, 3_600_000).optional(),
  factor: z
    .custom<number>(
      (value) => typeof value === "number" && value >= 1 && value <= 100,
      expected("a number from 1 to 100, without quotes"),
    )
    .optional(),
  cap_ms: milliseconds(10, dayMs).optional(),
  probe_ms: milliseconds(10, dayMs).optional(),
});

const replication = section({
  peers: z.array(peer, expected("a list of peers, each with site, url and token_file")),
  batch_size: wholeNumber(1, 1_000).optional(),
  max_retries: wholeNumber(0, 100).optional(),
  request_timeout_ms: milliseconds(100, 600_000).optional(),
  backoff: backoff.optional(),
});

const listen = section({
  host: matching("an IP address or a host's name", isHost).optional(),
  port: wholeNumber(1, 65_535).optional(),
  tls: section({ cert: filePath, key: filePath, client_ca: filePath.optional() }).optional(),
  behind_proxy: z
    .array(
      matching("a network such as 10.0.0.0/8", isCidr),
      expected("a list of networks such as [10.0.0.0/8]"),
    )
    .optional(),
});

const alerts = section({
  lag_after_ms: milliseconds(100, dayMs).optional(),
  webhook: matching(
    "an http or https URL without a password",
    (text) => parseHttpUrl(text) !== undefined,
  ).optional(),
  webhook_file: filePath.optional(),
});

export const fileSchema = z.strictObject(
  {
    edition: z.enum(["community", "commercial"], expected("community or commercial")),
    site: siteName,
    data: filePath,
    listen: listen.optional(),
    public_url: originUrl.optional(),
    replication: replication.optional(),
    alerts: alerts.optional(),
    admin_over_http: z.boolean(expected("true or false, without quotes")).optional(),
    keep_versions: wholeNumber(0, 100, " of versions").optional(),
    audit: section({ keep_days: wholeNumber(1, 36_500, " of days").optional() }).optional(),
    disk_free_min_bytes: wholeNumber(0, Number.MAX_SAFE_INTEGER, " of bytes").optional(),
  },
  { error: "the file must be a group of keys: edition, site, data and so on" },
);

export type FileValues = z.infer<typeof fileSchema>;

/** The keys that the file may hold at a path, indexes left out; empty where there can be none. */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  let schema: unknown = fileSchema;
  for (const step of path) {
    const inner = unwrap(schema);
    if (inner instanceof z.ZodArray) schema = inner.element;
    else if (inner instanceof z.ZodObject) schema = inner.shape[String(step)];
    else return [];
  }
  const inner = unwrap(schema);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** Where in the file a key would be right, as a path of keys; the first such place. */
export function placeOfKey(key: string): string | undefined {
  return placeUnder(fileSchema, "", key);
}

function placeUnder(schema: unknown, prefix: string, key: string): string | undefined {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray) return placeUnder(inner.element, `${prefix.slice(0, -1)}[].`, key);
  if (!(inner instanceof z.ZodObject)) return undefined;
  if (Object.hasOwn(inner.shape, key)) return `${prefix}${key}`;
  for (const [name, child] of Object.entries(inner.shape)) {
    const place = placeUnder(child, `${prefix}${name}.`, key);
    if (place !== undefined) return place;
  }
  return undefined;
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema;
}
