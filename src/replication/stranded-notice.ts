import type { Alerts } from "../core/edition.ts";
import type { Transacts } from "../core/store/store.ts";

/** Tells of live stranded rows, or that there are none any more; each once. An incident of the site, whoever found the rows. */
export async function tellStranded({
  store,
  alerts,
}: {
  readonly store: Transacts<"aside">;
  readonly alerts: Alerts;
}): Promise<void> {
  const { total } = await store.read((r) => r.aside.stranded(null, 1));
  if (total > 0) {
    const message = "Rows that a failover left behind wait for a decision";
    return alerts.raise("rows_stranded", "", message, { count: total });
  }
  const isOpen = (await alerts.openIncidents()).some(({ event }) => event === "rows_stranded");
  if (isOpen) await alerts.raise("stranded_settled", "", "No stranded row is left", {});
}
