import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";

/**
 * Two hosts on one machine: network namespaces joined by a cable (a veth pair) that can be pulled. Needs `ip` and the right to
 * make namespaces.
 */
export class TwoHosts implements Disposable {
  readonly a: Host;
  readonly b: Host;

  private constructor(id: string) {
    this.a = { namespace: `dm-${id}-a`, device: `dm${id}a`, address: "10.77.0.1" };
    this.b = { namespace: `dm-${id}-b`, device: `dm${id}b`, address: "10.77.0.2" };
  }

  /** The hosts, or why they cannot be made here. */
  static create(): TwoHosts | string {
    const hosts = new TwoHosts(randomBytes(3).toString("hex"));
    try {
      hosts.#build();
      return hosts;
    } catch (error) {
      hosts[Symbol.dispose]();
      return error instanceof Error ? error.message : String(error);
    }
  }

  #build(): void {
    const { a, b } = this;
    for (const { namespace } of [a, b]) ip("netns", "add", namespace);
    ip(
      "link",
      "add",
      a.device,
      "netns",
      a.namespace,
      "type",
      "veth",
      "peer",
      "name",
      b.device,
      "netns",
      b.namespace,
    );
    for (const host of [a, b]) {
      ip("-n", host.namespace, "addr", "add", `${host.address}/24`, "dev", host.device);
      ip("-n", host.namespace, "link", "set", "lo", "up");
      ip("-n", host.namespace, "link", "set", host.device, "up");
    }
  }

  /** Pulls the cable: from now on every packet between the hosts is lost, and neither is told. */
  cut(): void {
    ip("-n", this.a.namespace, "link", "set", this.a.device, "down");
  }

  heal(): void {
    ip("-n", this.a.namespace, "link", "set", this.a.device, "up");
  }

  /** Bytes that host `a` has sent over the cable. */
  sentBytes(): number {
    const [link] = JSON.parse(
      ip("-n", this.a.namespace, "-s", "-j", "link", "show", "dev", this.a.device),
    ) as [{ stats64: { tx: { bytes: number } } }];
    return link.stats64.tx.bytes;
  }

  [Symbol.dispose](): void {
    for (const { namespace } of [this.a, this.b]) spawnSync("ip", ["netns", "del", namespace]);
  }
}

export type Host = { readonly namespace: string; readonly device: string; readonly address: string };

/** A command line that runs on a host. The process that is started becomes the command itself. */
export function onHost({ namespace }: Host, ...command: readonly string[]): readonly string[] {
  return ["ip", "netns", "exec", namespace, ...command];
}

function ip(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync("ip", args, { encoding: "utf8" });
  if (error) throw new Error(`ip cannot be run: ${error.message}`);
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
  return stdout;
}
