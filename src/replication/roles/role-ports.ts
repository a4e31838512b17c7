import type { Alerts } from "../../core/edition.ts";
import type { Store } from "../../core/store/store.ts";
import type { PeerLink } from "../peer-link.ts";
import type { Workers } from "../primary/workers.ts";
import type { PersistPorts } from "./persist.ts";
import type { RoleKeeper } from "./role-keeper.ts";

/** What the commands that change a role, and the answers to other sites' wishes, need of the site. */
export type RolePorts = PersistPorts & {
  readonly store: Store;
  readonly alerts: Alerts;
  readonly publicUrl: string;
  readonly peers: () => readonly PeerLink[];
  readonly workers: Workers;
  readonly keeper: RoleKeeper;
  readonly applied: News;
};

/** Tells those who wait that something has happened, once for each wait: one pending promise each, no timer. */
export class News {
  readonly #waiting = new Set<() => void>();

  tell(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Resolves when it is told next, or when `abort` fires. To miss nothing, ask before looking. */
  next(abort: AbortSignal): Promise<void> {
    if (abort.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        abort.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      abort.addEventListener("abort", wake);
    });
  }
}
