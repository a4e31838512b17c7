import type { Random } from "../core/ports.ts";
import { formatToken, newToken, parseToken } from "../crypto/token.ts";
import type { Config } from "../ops/config/config.ts";
import { readConfig } from "../ops/config/read-config.ts";

/**
 * Reads a site's configuration, secrets included; every token's checksum is looked at.
 * @throws Refusal `config_invalid` or `file_exposed`, with every mistake
 */
export function readSiteConfig(configPath: string): Promise<Config> {
  return readConfig(configPath, { isPeerToken });
}

/**
 * What a configuration file would say if this were its text.
 * @param isTokenMissing whether token files that do not exist are no mistake, because they are yet to be written
 * @throws Refusal `config_invalid` or `file_exposed`, with every mistake
 */
export function readConfigText(configPath: string, text: string, isTokenMissing: boolean): Promise<Config> {
  const newPeerToken = (): string =>
    formatToken({ kind: "peer", id: new Uint8Array(16), secret: new Uint8Array(32) });
  return readConfig(configPath, { isPeerToken, text, ...(isTokenMissing && { newPeerToken }) });
}

/** A configuration before its site exists: pair secrets that are missing are made up, and returned for whoever writes them. */
export async function readNewPrimaryConfig(
  configPath: string,
  random: Random,
): Promise<{ readonly config: Config; readonly newTokens: ReadonlyMap<string, string> }> {
  const newTokens = new Map<string, string>();
  const newPeerToken = (tokenFile: string): string => {
    const token = formatToken(newToken("peer", random));
    newTokens.set(tokenFile, token);
    return token;
  };
  const config = await readConfig(configPath, { isPeerToken, newPeerToken });
  return { config, newTokens };
}

function isPeerToken(text: string): boolean {
  return parseToken(text)?.kind === "peer";
}
