import { z } from "zod";
import { isUuid } from "../core/ids.ts";
import { expiryField, lineField } from "./access-requests.ts";
import type { Role } from "../core/push.ts";

/**
 * How a site is acted on: `POST /admin/<command>` on the socket in its data folder, or `POST /api/admin/<command>` where the
 * configuration allows it, each with a JSON body. What is refused before a command runs is answered as any other call is; a
 * command answers lines of JSON, any number of progress and then one end.
 */
export const adminMediaType = "application/x-ndjson";

/** A body that names a file, a site or a row is far smaller. */
export const adminBytesMax = 64 * 1024;

export function adminPath(command: string): string {
  return `/admin/${command}`;
}

export function adminOverHttpPath(command: string): string {
  return `/api/admin/${command}`;
}

export const noFields = z.strictObject({});

export const snapshotFields = z.strictObject({
  /** Where the snapshot is to lie, on the site's machine. */
  path: z
    .string()
    .max(4_096)
    .refine((path) => path.startsWith("/") && !path.endsWith("/") && !path.includes("\0"), {
      error: "must be the whole path of a new file, from / on",
    }),
});

export type SnapshotAnswer = {
  readonly path: string;
  readonly bytes: number;
  /** The head of the site as the snapshot holds it. */
  readonly position: string;
  /** Of the file, in hex. */
  readonly sha256: string;
};

/** What a site without replication says of itself. */
export type AdminStatus = {
  readonly site: string;
  readonly role: Role;
  readonly edition: string;
  readonly version: string;
};

/** The deny list of this site alone: what an owner revokes, every site refuses. */
export const accessFields = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("list") }),
  z.strictObject({
    action: z.enum(["block", "unblock"]),
    id: z.string().refine((id) => isUuid(id), "must be the id of an access"),
  }),
]);

export type BlockedAccessList = {
  readonly blocked: readonly { readonly access_id: string; readonly at: string }[];
};

/** Incidents whose end only a person can know. */
export const endableEvents = ["access_forged", "entry_unreadable", "audit_truncated"] as const;

export const alertsFields = z.strictObject({ action: z.literal("end"), event: z.enum(endableEvents) });

/** Tokens of this site's operators. */
export const operatorFields = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("list") }),
  z.strictObject({ action: z.literal("add"), label: lineField, expires_at: expiryField }),
  z.strictObject({
    action: z.literal("remove"),
    id: z.string().regex(/^[0-9a-f]{32}$/, "must be the id of an operator's token"),
  }),
]);

type ShownOperator = {
  readonly operator_id: string;
  readonly label: string;
  readonly created_at: string;
  readonly expires_at: string | null;
};

export type OperatorList = { readonly operators: readonly ShownOperator[] };

/** The token is shown this once. */
export type NewOperator = ShownOperator & { readonly token: string };
