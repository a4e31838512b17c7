import type { IncomingHttpHeaders } from "node:http";
import { isIP, isIPv6 } from "node:net";

export type Origin = {
  /** The other end of the connection. */
  readonly address: string;
  /** What the header X-Forwarded-For says; anybody may write it. */
  readonly forwardedFor: string | undefined;
};

/** The header X-Forwarded-For; undefined where there is none. */
export function forwardedForOf(headers: IncomingHttpHeaders): string | undefined {
  const header = headers["x-forwarded-for"];
  return (Array.isArray(header) ? header.join(",") : header) || undefined;
}

/**
 * Whom an attempt is counted against: the client, whom a proxy in front names last. A proxy that names nobody is everybody, and
 * nobody else may be slowed down for what came through it: undefined.
 */
export function originKey(
  { address, forwardedFor }: Origin,
  isProxy: (address: string) => boolean,
): string | undefined {
  const client = clientOf({ address, forwardedFor }, isProxy);
  return client === undefined ? undefined : addressKey(client);
}

/** The address of the client, whom a proxy in front names last; undefined where it names nobody. */
export function clientOf(
  { address, forwardedFor = "" }: Origin,
  isProxy: (address: string) => boolean,
): string | undefined {
  if (!isProxy(address)) return address;
  const client = forwardedFor.slice(forwardedFor.lastIndexOf(",") + 1).trim();
  return isIP(client) === 0 || isProxy(client) ? undefined : client;
}

/**
 * Whom an attempt is counted against: an IPv4 address, or the 64 bits of an IPv6 address that one customer of a provider has.
 * What is no address counts as one that everybody shares.
 */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [bare = ""] = address.split("%", 1);
  if (isIPv6(bare)) return `${networkOf(bare)}::/64`;
  return isIP(address) === 4 ? address : "unknown";
}

/** The first four groups, without leading zeros, so that one network has one text. */
function networkOf(address: string): string {
  const [head = "", tail] = address.split("::");
  const first = groupsOf(head);
  const last = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => "0");
  const groups = tail === undefined ? first : [...first, ...zeros, ...last];
  return groups.slice(0, 4).join(":");
}

/** An IPv4 address at the end stands for two groups; both are behind the network. */
function groupsOf(text: string): readonly string[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    return group.includes(".") ? ["0", "0"] : [Number.parseInt(group, 16).toString(16)];
  });
}
