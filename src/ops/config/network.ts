import { BlockList, isIP } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether a host, as it stands in a URL or in `listen`, never leaves this machine. Other names are not looked up. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const family = isIP(bare);
  if (family === 0) return bare === "localhost";
  return loopback.check(bare, family === 4 ? "ipv4" : "ipv6");
}

/** Whether a host is an IP address of one of the networks, each written as `10.0.0.0/8`. Names are not looked up. */
export function isInNetworks(host: string, networks: readonly (string | undefined)[]): boolean {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(bare);
  if (family === 0) return false;
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits = ""] = network?.split("/") ?? [];
    if (isIP(address) !== 0) list.addSubnet(address, Number(bits), isIP(address) === 4 ? "ipv4" : "ipv6");
  }
  return list.check(bare, family === 4 ? "ipv4" : "ipv6");
}

/** Scheme, host and port of a URL text, in the one form in which two of them can be compared. */
export function originOf(url: string): string {
  return new URL(url).origin;
}

/** The URL under which a listener at this host and port is reached from the same machine. */
export function listenUrl(scheme: "http" | "https", host: string, port: number): string {
  return originOf(`${scheme}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`);
}
