import type { Promotion } from "../../../core/epoch.ts";
import { newUuidV4, type SiteName } from "../../../core/ids.ts";
import type { Point } from "../../../core/position.ts";
import type {
  Grant,
  GrantAnswer,
  GrantOrigin,
  Homecoming,
  RoleWriter,
  Winner,
} from "../../../core/store/roles.ts";
import { declineGrant, endGrant, grantTo } from "../grants.ts";
import { rejoinBeside, type RejoinRequest } from "../rejoin-beside.ts";
import { rejoin } from "../rejoin.ts";
import { promote, promoteBy } from "../roles.ts";
import type { StoreScope, TransactionScope } from "./scope.ts";

export class RoleWrites implements RoleWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    this.#scope = scope;
  }

  grant(to: SiteName, at?: Point): Promise<Grant> {
    const { random } = this.#scope.ports;
    return this.#scope.do((tx) => grantTo(tx, to, at, newUuidV4(random)));
  }

  endGrant(grantId: string, answer: GrantAnswer): Promise<void> {
    return this.#scope.do((tx) => endGrant(tx, grantId, answer));
  }

  promoteBy(grant: Grant, isProofNeeded: boolean): Promise<Promotion> {
    const { ports } = this.#scope;
    return this.#scope.run((tx) => promoteBy(tx, grant, isProofNeeded, ports));
  }

  promote(): Promise<Promotion> {
    const { ports } = this.#scope;
    return this.#scope.run((tx) => promote(tx, ports));
  }

  decline(grantId: string, of: GrantOrigin): Promise<GrantAnswer> {
    return this.#scope.do((tx) => declineGrant(tx, grantId, of));
  }
}

/** The file that a thread works on beside the store. */
export type WayHome = {
  readonly path: string;
  /** Ends the thread. */
  readonly abandoned: AbortSignal;
  /** Stores what was acknowledged, which the thread reads. */
  readonly storeAcks: () => Promise<void>;
};

export class Return implements Homecoming {
  readonly #scope: StoreScope;
  readonly #way: WayHome | null;

  /** @param way null in memory */
  constructor(scope: StoreScope, way: WayHome | null) {
    this.#scope = scope;
    this.#way = way;
  }

  async rejoin(winner: Winner): Promise<{ readonly putAside: number }> {
    const { ports, queue } = this.#scope;
    const { clock, hash } = ports;
    if (this.#way === null) {
      return queue().enqueue((tx) => rejoin(tx, winner, { hash, now: clock.now() }));
    }
    const { path, storeAcks, abandoned } = this.#way;
    const request = { path, winner, now: clock.now() };
    // Asked for at once: a store that is closed meanwhile waits for what is in its queue.
    const open = queue();
    await storeAcks();
    return open.hold(() => this.#rejoinBeside(request, abandoned));
  }

  async #rejoinBeside(
    request: RejoinRequest,
    abandoned: AbortSignal,
  ): Promise<{ readonly putAside: number }> {
    try {
      return await rejoinBeside(request, abandoned);
    } finally {
      // The thread has written, and this process does not know what.
      this.#scope.ports.knowledge.forget();
    }
  }
}
