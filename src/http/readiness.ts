import { Refusal } from "../core/errors.ts";
import type { Site } from "../core/store/site.ts";
import type { Reads } from "../core/store/store.ts";

/**
 * Why a site cannot do its role's work, as codes: `primary_behind` or `primary_superseded` for a fence, `never_filled` for a
 * backup that no primary has pushed to, the refusal's code where the database does not answer, and what `more` finds besides.
 */
export function siteReadiness(
  store: Reads<"site">,
  more: () => Promise<readonly string[]> = async () => [],
): () => Promise<readonly string[]> {
  return async () => [...(await storeReasons(store)), ...(await more())];
}

async function storeReasons(store: Reads<"site">): Promise<readonly string[]> {
  try {
    return reasonsOf(await store.read((r) => r.site.record()));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [error.code];
  }
}

function reasonsOf(site: Site): readonly string[] {
  if (site.fenced !== null) return [site.fenced];
  return site.role === "backup" && site.realm === null ? ["never_filled"] : [];
}
