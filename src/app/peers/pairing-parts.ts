import type { AdminCommand, EditionRoute } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { PeerTls } from "../../core/peer-tls.ts";
import type { Store } from "../../core/store/store.ts";
import type { CommercialConfig } from "../../ops/config/config.ts";
import { check } from "../../protocol/check.ts";
import { joinFields } from "../../protocol/pairing.ts";
import { pinFor } from "../certificates.ts";
import { systemClock, systemRandom } from "../system-ports.ts";
import type { ShownCertificate } from "../tls-reload.ts";
import { Invitations } from "./invitations.ts";
import { joinPrimary, lookMs } from "./joining.ts";
import { checkPeer, checkWritable, findPeer, savePeer } from "./peer-files.ts";
import type { PeerExchange, PeerLinks } from "./peer-links.ts";
import { Rotation } from "./rotation.ts";

export type PairingParts = {
  readonly config: CommercialConfig;
  readonly store: Store;
  readonly links: PeerLinks;
  readonly shown: Pick<ShownCertificate, "fingerprint">;
  /** Reads the peers of the configuration again and has replication take them over. */
  readonly reload: () => Promise<unknown>;
  /** A way to a site that is no peer yet, without a credential. */
  readonly open: (options: { readonly url: string; readonly tls: PeerTls }) => {
    readonly exchange: PeerExchange;
    readonly close: () => Promise<void>;
  };
};

/** What a commercial site has for pairing and for changing a pair's secret. */
export function pairing(parts: PairingParts): {
  readonly routes: readonly EditionRoute[];
  readonly adminCommands: readonly AdminCommand[];
} {
  const { config, store, links, reload } = parts;
  const { configPath, site, publicUrl } = config;
  const invitations = new Invitations({
    clock: systemClock,
    random: systemRandom,
    store,
    self: () => ({ site, url: publicUrl, fingerprint: ownFingerprint(parts) }),
    checkWritable: () => checkWritable(configPath),
    judge: async (peer) => {
      if (peer.site === site)
        throw new Refusal("config_invalid", `${site} is this very site's name: give the other another`);
      const pinned = await pinFor(peer, lookMs);
      await checkPeer(configPath, { ...peer, fingerprint: pinned.pin });
      const known = await findPeer(configPath, peer.site);
      return {
        ...pinned,
        known: known === undefined ? null : { url: known.url, fingerprint: known.tls.fingerprint },
      };
    },
    admit: async (peer) => {
      await savePeer(configPath, peer);
      links.expectJoining(peer.site);
      await reload().catch((error: unknown) => {
        throw notTakenOver(configPath, peer.site, error);
      });
    },
  });
  const rotation = new Rotation({ site, random: systemRandom, links });
  return {
    routes: [invitations.route, rotation.route],
    adminCommands: [...invitations.adminCommands, joinCommand(parts), rotation.adminCommand],
  };
}

/** The SHA-256 of the certificate that callers of the public URL are shown; null where that is none of this site's own. */
function ownFingerprint({ config, shown }: Pick<PairingParts, "config" | "shown">): string | null {
  return config.publicUrl.startsWith("https:") ? shown.fingerprint : null;
}

/** The file has the peer by then: whoever only reads that it failed would look for it in vain. */
function notTakenOver(configPath: string, site: SiteName, error: unknown): Refusal {
  const reason = error instanceof Error ? error.message : "a fault";
  const detail = `${site} is written into ${configPath}, but the running site could not take it over: ${reason}`;
  return new Refusal("pairing_failed", detail, error instanceof Refusal ? error.mistakes : []);
}

function joinCommand(parts: PairingParts): AdminCommand {
  const { config, store, open, reload } = parts;
  let isJoining = false;
  return {
    name: "join",
    handle: async ({ body, progress, signal }) => {
      const { code } = check(joinFields, body);
      const ports = { clock: systemClock, random: systemRandom, fingerprint: ownFingerprint(parts) };
      if (isJoining) throw new Refusal("busy", "this site is joining a primary already");
      isJoining = true;
      try {
        const joined = await joinPrimary({ ...ports, config, store, open, progress, signal }, code);
        await reload();
        return joined;
      } finally {
        isJoining = false;
      }
    },
  };
}
