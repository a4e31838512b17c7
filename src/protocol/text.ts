import { z } from "zod";

/**
 * A text of at most so many code units. Half a surrogate pair is refused: it has no UTF-8 form, and would come back as
 * another character than was sent.
 */
export function text(lengthMax: number): z.ZodString {
  return z
    .string()
    .max(lengthMax)
    .refine((value) => value.isWellFormed(), "must be valid Unicode");
}
