import { access, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { Refusal } from "../../core/errors.ts";
import { formatToken, newToken } from "../../crypto/token.ts";
import type { PeerEntry } from "../../ops/config/edit-peers.ts";
import { writeSecretFile } from "../../ops/config/replace-file.ts";
import { systemRandom } from "../system-ports.ts";
import { enterPeer, findPeer } from "./peer-files.ts";

/**
 * Writes a peer that the operator names into the configuration. A token file that is missing is made, with a new secret.
 * @param entry its token file relative to where the command runs
 * @throws Refusal `peer_exists`, `config_invalid`, `file_exposed`, having changed nothing
 */
export async function addNamedPeer(
  configPath: string,
  entry: PeerEntry,
): Promise<{ readonly tokenFile: string; readonly isMade: boolean }> {
  if ((await findPeer(configPath, entry.site)) !== undefined) {
    throw new Refusal("peer_exists", `${entry.site} is a peer already`);
  }
  const tokenFile = resolve(entry.tokenFile);
  const isMade = await access(tokenFile).then(
    () => false,
    () => true,
  );
  if (isMade) await writeSecretFile(tokenFile, `${formatToken(newToken("peer", systemRandom))}\n`);
  try {
    await enterPeer(configPath, { ...entry, tokenFile });
  } catch (error) {
    if (isMade) await rm(tokenFile, { force: true });
    throw error;
  }
  return { tokenFile, isMade };
}
