import { z } from "zod";

const lengthMax = 300;

/** A site's public URL: scheme, host and port, in the one form in which two of them can be compared. */
export const siteUrl = z
  .string()
  .max(lengthMax)
  .refine(isSiteUrl, "must be a URL of scheme, host and port alone");

function isSiteUrl(text: string): boolean {
  if (!/^https?:/.test(text) || !URL.canParse(text)) return false;
  return new URL(text).origin === text;
}
