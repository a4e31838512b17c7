import type { ConnectionOptions } from "./connection.ts";

/** What every command on a vault's entries is given. */
export type EntryOptions = ConnectionOptions & { readonly json?: boolean; readonly vault: string };

export function entriesPath({ vault }: Pick<EntryOptions, "vault">): string {
  return `/api/vaults/${encodeURIComponent(vault)}/entries`;
}

export function entryPath(options: Pick<EntryOptions, "vault">, entryId: string): string {
  return `${entriesPath(options)}/${encodeURIComponent(entryId)}`;
}
