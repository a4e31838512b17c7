import type { AuditPart } from "../../core/audit.ts";
import type { Reads } from "../../core/store/store.ts";
import type { SiteName } from "../../core/ids.ts";

export type AuditShipmentPorts = {
  readonly peer: SiteName;
  readonly store: Reads<"audit">;
  /** A fault of this site's audit: for the log. */
  readonly onFault: (error: unknown) => void;
};

/**
 * The audit's place in one drain: each push carries what the backup lacks, and where that is not all, the drain is longer by one
 * push and no more. Records wake no worker and fail no push; what is left goes with the next drain.
 */
export class AuditShipment {
  readonly #ports: AuditShipmentPorts;
  /** Whether the part that went out last was not all, as far as known. */
  #isMoreLeft = false;
  #isExtraUsed = false;
  #isOwed = false;
  /** A push that was too large goes again without. */
  #isLeftOut = false;

  constructor(ports: AuditShipmentPorts) {
    this.#ports = ports;
  }

  /** Whether one more push is owed for the audit alone. */
  get isOwed(): boolean {
    return this.#isOwed;
  }

  /** What the next push is to carry. */
  async part(): Promise<AuditPart | undefined> {
    if (this.#isOwed) this.#isExtraUsed = true;
    this.#isOwed = false;
    if (this.#isLeftOut) return undefined;
    const part = await this.#read();
    this.#isMoreLeft = part?.more ?? false;
    return part;
  }

  /** The backup has taken the last push of the drain, and told of its own audit; nothing where it keeps none. */
  async acknowledged(theirs: AuditPart | undefined): Promise<void> {
    if (!theirs || this.#isExtraUsed || this.#isLeftOut) return;
    const next = await this.#read();
    const lacks = next !== undefined && (next.more || (this.#isMoreLeft && next.records.length > 0));
    this.#isOwed = theirs.more || lacks;
  }

  /** Whether a push with this part, which was too large, may be taken without it. */
  leaveOut(part: AuditPart | undefined): boolean {
    if (this.#isLeftOut || !part || part.records.length === 0) return false;
    this.#isLeftOut = true;
    return true;
  }

  async #read(): Promise<AuditPart | undefined> {
    const { store, peer, onFault } = this.#ports;
    try {
      return await store.read((r) => r.audit.partFor(peer));
    } catch (error) {
      onFault(error);
      return undefined;
    }
  }
}
