import { cell, isFields } from "./fields.ts";

/** A row's key as a word, from the largest to the smallest: `entry/0199…/0199…`. */
export function rowName(key: unknown): string {
  return isFields(key) ? Object.values(key).map(cell).join("/") : cell(key);
}
