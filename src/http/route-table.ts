import { importBytesMax, loginBytesMax, requestBytesMax } from "../protocol/limits.ts";

/** Who may call: nobody needs a token for `anyone`; `read`, `write` and `owner` are scopes of a token of the path's vault. */
export type Caller = "anyone" | "operator" | "session" | "read" | "write" | "owner" | "peer";

export type RouteSpec = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly caller: Caller;
  /** A client's write: refused by the edition's write guard before anything of it is parsed, and may ask to wait. */
  readonly isClientWrite: boolean;
  /** Whether the call has query parameters; where it has none, any is refused by name. */
  readonly takesQuery: boolean;
  readonly bodyBytesMax: number;
};

const sessions = "/api/sessions";
const vaults = "/api/vaults";
const vault = `${vaults}/:vaultId` as const;
const stranded = `${vault}/stranded` as const;
const accesses = `${vault}/access` as const;
const entries = `${vault}/entries` as const;
const entry = `${entries}/:entryId` as const;

const read = { isClientWrite: false, takesQuery: false, bodyBytesMax: requestBytesMax } as const;
const write = { isClientWrite: true, takesQuery: false, bodyBytesMax: requestBytesMax } as const;

/** Every call but those that an edition adds. Tests go through it, so that no call is without its line here. */
export const routeTable = {
  healthz: { method: "GET", path: "/healthz", caller: "anyone", ...read, takesQuery: true },
  readyz: { method: "GET", path: "/readyz", caller: "anyone", ...read, takesQuery: true },
  createSession: {
    method: "POST",
    path: sessions,
    caller: "anyone",
    ...read,
    bodyBytesMax: loginBytesMax,
  },
  getSession: { method: "GET", path: sessions, caller: "session", ...read },
  endSession: { method: "DELETE", path: sessions, caller: "session", ...read },
  createVault: { method: "POST", path: vaults, caller: "operator", ...write },
  listVaults: { method: "GET", path: vaults, caller: "operator", ...read },
  getVault: { method: "GET", path: vault, caller: "owner", ...read },
  renameVault: { method: "PATCH", path: vault, caller: "owner", ...write },
  deleteVault: { method: "DELETE", path: vault, caller: "owner", ...write },
  createEntry: { method: "POST", path: entries, caller: "write", ...write },
  importEntries: {
    method: "POST",
    path: `${entries}/import`,
    caller: "write",
    ...write,
    bodyBytesMax: importBytesMax,
  },
  listEntries: { method: "GET", path: entries, caller: "read", ...read, takesQuery: true },
  searchEntries: { method: "POST", path: `${entries}/search`, caller: "read", ...read },
  getEntry: { method: "GET", path: entry, caller: "read", ...read },
  getOneTimeCodes: { method: "GET", path: `${entry}/totp`, caller: "read", ...read },
  putEntry: { method: "PUT", path: entry, caller: "write", ...write },
  patchEntry: { method: "PATCH", path: entry, caller: "write", ...write },
  deleteEntry: { method: "DELETE", path: entry, caller: "write", ...write, takesQuery: true },
  restoreEntry: { method: "POST", path: `${entry}/restore`, caller: "write", ...write },
  listVersions: { method: "GET", path: `${entry}/versions`, caller: "read", ...read, takesQuery: true },
  getVersion: { method: "GET", path: `${entry}/versions/:version`, caller: "read", ...read },
  restoreVersion: {
    method: "POST",
    path: `${entry}/versions/:version/restore`,
    caller: "write",
    ...write,
  },
  getStranded: { method: "GET", path: `${stranded}/:strandedId`, caller: "read", ...read },
  reapplyStranded: {
    method: "POST",
    path: `${stranded}/:strandedId/reapply`,
    caller: "write",
    ...write,
  },
  createAccess: { method: "POST", path: accesses, caller: "owner", ...write },
  listAccesses: { method: "GET", path: accesses, caller: "owner", ...read },
  revokeAccess: {
    method: "DELETE",
    path: `${accesses}/:accessId`,
    caller: "owner",
    ...write,
    takesQuery: true,
  },
  changeVaultKey: { method: "POST", path: `${vault}/rotation`, caller: "owner", ...write },
  listAudit: { method: "GET", path: "/api/audit", caller: "operator", ...read, takesQuery: true },
  listAlerts: { method: "GET", path: "/api/alerts", caller: "operator", ...read, takesQuery: true },
  testAlerts: { method: "POST", path: "/api/alerts/test", caller: "operator", ...read },
} as const satisfies Readonly<Record<string, RouteSpec>>;

export type RouteName = keyof typeof routeTable;
export type SpecOf<Name extends RouteName> = (typeof routeTable)[Name];
