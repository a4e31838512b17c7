import { z } from "zod";
import { entryTypes, fieldKinds } from "../core/entry.ts";
import { type EntryId, isUuidV7 } from "../core/ids.ts";
import { isEntryUrl, mistakeInValue } from "./field-values.ts";
import * as limits from "./limits.ts";
import { text } from "./text.ts";

const entryIdSchema = z
  .string()
  .refine((id) => isUuidV7(id), "must be a UUIDv7 in lower case")
  .transform((id) => id as EntryId);

const field = z
  .strictObject({
    label: text(limits.labelLengthMax),
    value: text(limits.valueLengthMax),
    kind: z.enum(fieldKinds).default("text"),
  })
  .superRefine(({ kind, value }, context) => {
    const message = mistakeInValue(kind, value);
    if (message !== undefined) context.addIssue({ code: "custom", path: ["value"], message });
  });

const url = text(limits.urlLengthMax)
  .min(1)
  .refine(
    (value) => value === "" || isEntryUrl(value),
    "must be an absolute URL such as https://mail.example",
  );

const members = {
  type: z.enum(entryTypes),
  title: text(limits.titleLengthMax).min(1),
  urls: z.array(url).max(limits.urlsMax).default([]),
  tags: z.array(text(limits.tagLengthMax).min(1)).max(limits.tagsMax).default([]),
  favourite: z.boolean().default(false),
  fields: z.array(field).max(limits.fieldsMax).default([]),
  notes: text(limits.notesLengthMax).default(""),
};

/** What PUT takes: the whole content; what is left out is empty. */
export const entryContentSchema = z.strictObject(members);

/** What POST takes: the content, and an id where the client chooses one. */
export const newEntrySchema = z.strictObject({ entry_id: entryIdSchema.optional(), ...members });

/**
 * What PATCH takes (RFC 7396): any of the members, null to empty one. Refuses what is unknown before anything is read; the
 * merged content is checked as a whole again.
 */
export const entryPatchSchema = z.strictObject({
  type: z.enum(entryTypes).optional(),
  title: members.title.optional(),
  urls: members.urls.unwrap().nullish(),
  tags: members.tags.unwrap().nullish(),
  favourite: z.boolean().nullish(),
  fields: members.fields.unwrap().nullish(),
  notes: members.notes.unwrap().nullish(),
});

/** What an import is, but for its entries, which are checked one by one. */
export const importSchema = z.strictObject({
  entries: z.array(z.unknown()).min(1).max(limits.importEntriesMax),
});

const flag = z.enum(["true", "false"]).transform((value) => value === "true");

const limitRule = `must be a number from 1 to ${limits.pageLimitMax}`;

const limit = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, limitRule)
  .transform(Number)
  .refine((count) => count <= limits.pageLimitMax, limitRule)
  .default(limits.pageLimitDefault);

export const entryListQuerySchema = z.strictObject({
  limit,
  /** The `next_cursor` of the page before. */
  cursor: entryIdSchema.optional(),
  type: z.enum(entryTypes).optional(),
  tag: text(limits.tagLengthMax).min(1).optional(),
  favourite: flag.optional(),
  /** Whether to list what is in the trash instead of what is not. */
  trash: flag.default(false),
});

/** What a search asks for; what is left out asks for nothing. */
export const entrySearchSchema = z.strictObject({
  query: text(limits.searchLengthMax).default(""),
  type: z.enum(entryTypes).optional(),
  tag: text(limits.tagLengthMax).min(1).optional(),
  favourite: z.boolean().optional(),
  trash: z.boolean().default(false),
  limit: z
    .number()
    .refine((count) => Number.isInteger(count) && count >= 1 && count <= limits.pageLimitMax, limitRule)
    .default(limits.pageLimitDefault),
  /** The `next_cursor` of the page before. */
  cursor: entryIdSchema.optional(),
});

/** `cursor`: versions below this one. */
export const versionListQuerySchema = z.strictObject({
  limit,
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,9}$/, "must be the next_cursor of the page before")
    .transform(Number)
    .optional(),
});

export const purgeQuerySchema = z.strictObject({ purge: flag.default(false) });

export const alertListQuerySchema = z.strictObject({ limit });
