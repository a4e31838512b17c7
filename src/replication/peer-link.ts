import type { SiteName } from "../core/ids.ts";
import type { Transport } from "../core/ports.ts";

/** A configured peer and the way to it. */
export type PeerLink = {
  readonly site: SiteName;
  readonly url: string;
  readonly transport: Transport;
};
