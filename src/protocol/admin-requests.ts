import { z } from "zod";
import type { Role } from "../core/push.ts";

/**
 * What the owner of a machine may have a commercial site do beside what every site can: the bodies and results of the commands
 * that change a site's role, prove it, and settle what a failover left behind. Positions are texts such as `1:52`.
 */

export const promoteFields = z.strictObject({
  /** Without the primary's consent. */
  force: z.boolean().default(false),
  /** Says what is known and what is not, and changes nothing. */
  dry_run: z.boolean().default(false),
});

export type PromotionKind = "planned" | "forced" | "take_back" | "nothing";

/** What a promotion would be, and what this site knows beforehand. */
export type PromotionPreflight = {
  readonly kind: PromotionKind;
  readonly site: string;
  /** The epoch's number as it is. */
  readonly epoch: number;
  readonly known: Readonly<Record<string, string>>;
  readonly unknown: readonly string[];
  /** Why it would be refused; null where nothing speaks against it as far as known. */
  readonly refused: string | null;
};

export type PromotionResult = {
  /** The site that the result is about, with its role and the number of its epoch: this one unless another was promoted. */
  readonly site: string;
  readonly role: Role;
  readonly epoch: number;
  /** Where its reign continues from; null where that is not known here or nothing has changed. */
  readonly from: string | null;
  /** `declined`: the time was up, and the grant was given back. `taken_back`: this primary takes writes again. */
  readonly result: "promoted" | "already_primary" | "declined" | "taken_back";
};

export const declineFields = z.strictObject({});

export type DeclineResult = { readonly site: string; readonly role: Role; readonly result: "declined" };

export const rejoinFields = z.strictObject({});

export type RejoinResult = {
  readonly site: string;
  readonly role: Role;
  /** The primary that it came home to. */
  readonly winner: string;
  /** The highest position that both histories went through. */
  readonly common: string;
  /** Rows that only this site had. */
  readonly put_aside: number;
};

export const recoverFields = z.strictObject({
  /** Goes on with the older state that this site has. */
  force: z.boolean().default(false),
  /** Says what would be done, and changes nothing. */
  dry_run: z.boolean().default(false),
});

export type RecoverResult = {
  readonly site: string;
  readonly role: Role;
  readonly epoch: number;
  readonly put_aside: number;
  /** What was done, or with `dry_run` what would be. */
  readonly steps: readonly string[];
};

export const verifyFields = z.strictObject({
  /** Has each backup repaired that differs, also one that repairs were given up on. */
  repair: z.boolean().default(false),
});

/**
 * What is wrong with a row at a backup. `unknown_here`: the primary has no such row. `damaged`: its body is not the one that
 * its hash was taken of.
 */
export type RowDifference = "missing" | "older" | "newer" | "other" | "damaged" | "unknown_here";

export type VerifyResult = {
  /** Whether everything was compared, and is whole and equal. */
  readonly equal: boolean;
  readonly position: string;
  readonly local: {
    readonly rows: number;
    /** Keys of rows that fail their own hash. */
    readonly damaged: readonly string[];
    /** `ok`, or what the check of the database found. */
    readonly database: string;
  };
  readonly peers: readonly VerifiedPeer[];
};

export type VerifiedPeer = {
  readonly site: string;
  readonly equal: boolean;
  readonly rows: number;
  readonly differing: readonly { readonly key: string; readonly what: RowDifference }[];
  /** Why it was not compared. */
  readonly error: string | null;
};

const strandedId = z.string().regex(/^[0-9a-f-]{36}$/, "must be the id of a stranded row");

export const strandedFields = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("list") }),
  z.strictObject({ action: z.literal("show"), id: strandedId }),
  z.strictObject({
    action: z.enum(["reapply", "discard"]),
    id: strandedId.optional(),
    all: z.boolean().default(false),
  }),
]);

/** Of one whose content cannot be read, kind, key and position are the stranded row's own, and `from` and `at` null. */
export type StrandedItem = {
  readonly id: string;
  readonly kind: string;
  readonly key: string;
  /** Where the row stood in the history that lost. */
  readonly position: string;
  /** The site that put it aside. */
  readonly from: string | null;
  readonly at: string | null;
  /** Whether it is a purge or a revocation. */
  readonly deleted: boolean;
};

export type StrandedList = { readonly stranded: readonly StrandedItem[] };

/** `content`: the row's body as it would be again; null for a purge or a revocation. */
export type StrandedShown = StrandedItem & { readonly content: unknown };

export type StrandedSettled = {
  readonly action: "reapply" | "discard";
  readonly settled: number;
  /** Rows that could not be settled this way, with the code of the refusal. */
  readonly refused: readonly { readonly id: string; readonly code: string }[];
  /** How many stranded rows are left. */
  readonly left: number;
};
