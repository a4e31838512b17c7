import type { SiteName } from "../../../core/ids.ts";
import { samePoint } from "../../../core/push.ts";
import type { Acknowledgement, Acknowledgements } from "../../../core/store/replication.ts";
import { knowsPoint } from "../history.ts";
import { takePlainAck } from "../plain-ack.ts";
import { acknowledge } from "../primary.ts";
import { inOneStep } from "../transaction.ts";
import type { StoreScope } from "./scope.ts";

/** Takes an ACK into what is known where it can, so that it costs no transaction of its own. */
export class KnownAcks implements Acknowledgements {
  readonly #scope: StoreScope;

  constructor(scope: StoreScope) {
    this.#scope = scope;
  }

  async take(peer: SiteName, ack: Acknowledgement): Promise<"known" | "unknown"> {
    const { alone, ports, queue } = this.#scope;
    const { knowledge } = ports;
    const now = ports.clock.now();
    const found = await alone((view) => {
      const isHead = samePoint(view.state.site.head, ack.through);
      if (!isHead && !knowsPoint(view.connection, ack.through)) return "unknown";
      const taken = queue().isOpen
        ? undefined
        : takePlainAck(view, { peer, ack, now }, knowledge.unsavedAcks);
      if (taken) knowledge.acknowledged(taken);
      return taken ? "known" : "not plain";
    });
    return found === "not plain" ? this.#commit(peer, ack, now) : found;
  }

  async settle(): Promise<void> {
    const { ports, queue } = this.#scope;
    if (ports.knowledge.unsavedAcks)
      await queue().enqueue(
        inOneStep(() => undefined),
        "committed",
      );
  }

  #commit(peer: SiteName, ack: Acknowledgement, now: number): Promise<"known" | "unknown"> {
    const { ports, queue } = this.#scope;
    return queue().enqueue(function* (tx) {
      const known = yield* acknowledge(tx, peer, ack, now);
      if (known === "known") ports.audit.acknowledged(tx, peer, ack);
      return known;
    }, "committed");
  }
}
