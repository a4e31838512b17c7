import { cell, isFields } from "./fields.ts";

/** A row's key as words, from the largest to the smallest: `entry 0199…/0199…`. */
export function rowName(key: unknown, kind?: unknown): string {
  if (!isFields(key))
    return [kind, key]
      .filter((part) => part !== undefined)
      .map(cell)
      .join(" ");
  const { kind: own, ...ids } = key;
  return `${cell(kind ?? own)} ${Object.values(ids).map(cell).join("/")}`;
}
