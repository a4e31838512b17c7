import { registerHooks } from "node:module";

/**
 * Loaded before the site (`node --import`), lets it open vaults without a key: what a request would cost if entries lay in the
 * database as they are.
 */
registerHooks({
  resolve(specifier, context, next) {
    const isSite = context.parentURL?.includes("/src/http/") ?? false;
    if (!isSite || !specifier.endsWith("/vault-opening.ts")) return next(specifier, context);
    return next(new URL("./vault-opening.ts", import.meta.url).href, context);
  },
});
