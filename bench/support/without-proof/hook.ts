import { registerHooks } from "node:module";

/**
 * Loaded before the store (`node --import`), takes chain, history and digest out of it and leaves everything else as it is:
 * what a write would cost if it proved nothing.
 */
const replaced: readonly { readonly specifier: RegExp; readonly by: string }[] = [
  { specifier: /\/core\/row\.ts$/, by: "row.ts" },
  { specifier: /\/history\.ts$/, by: "history.ts" },
  { specifier: /\/core\/digest\.ts$/, by: "digest.ts" },
  { specifier: /\/stored-buckets\.ts$/, by: "stored-buckets.ts" },
];

registerHooks({
  resolve(specifier, context, next) {
    const found = replaced.find((candidate) => candidate.specifier.test(specifier));
    const isStore = context.parentURL?.includes("/src/store/sqlite/") ?? false;
    if (!found || !isStore) return next(specifier, context);
    return next(new URL(`./${found.by}`, import.meta.url).href, context);
  },
});
