import type { AdminCommand, AdminRequest } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import {
  declineFields,
  type DeclineResult,
  promoteFields,
  recoverFields,
  rejoinFields,
} from "../../protocol/admin-requests.ts";
import { noFields } from "../../protocol/admin.ts";
import { check } from "../../protocol/check.ts";
import { strandedCommand } from "../stranded.ts";
import { verifyCommand, type VerifyPorts } from "../verify.ts";
import { describePromotion } from "./preflight.ts";
import { decline, promote } from "./promote.ts";
import { describeRecovery, recover } from "./recover.ts";
import { rejoin } from "./rejoin.ts";
import type { RolePorts } from "./role-ports.ts";

export type AdminPorts = RolePorts &
  VerifyPorts & {
    /** What `GET /api/replication` answers. */
    readonly describe: () => Promise<object>;
  };

/** What the machine's owner may have a commercial site do. One change of role at a time: two at once could undo each other. */
export function adminCommands(ports: AdminPorts): readonly AdminCommand[] {
  const changes = new RoleChanges();
  return [
    {
      name: "status",
      handle: ({ body }) => {
        check(noFields, body);
        return ports.describe();
      },
    },
    {
      name: "promote",
      handle: async ({ body, ...request }) => {
        const { force, dry_run } = check(promoteFields, body);
        if (dry_run) return describePromotion(ports, force, request.signal);
        return changes.run(request, (call) => promote(ports, { force, ...call }));
      },
    },
    {
      name: "decline",
      handle: async ({ body, ...request }): Promise<DeclineResult> => {
        check(declineFields, body);
        // A promotion that waits here gives its grant back itself.
        if (!(await changes.end())) await changes.run(request, ({ signal }) => decline(ports, signal));
        const { site, role } = await ports.store.read((r) => r.site.record());
        if (role === "primary") throw new Refusal("already_primary");
        return { site, role, result: "declined" };
      },
    },
    {
      name: "rejoin",
      handle: async ({ body, ...request }) => {
        check(rejoinFields, body);
        return changes.run(request, (call) => rejoin(ports, call));
      },
    },
    {
      name: "recover",
      handle: async ({ body, ...request }) => {
        const { force, dry_run } = check(recoverFields, body);
        if (dry_run) return describeRecovery(ports, force, request.signal);
        return changes.run(request, (call) => recover(ports, { force, ...call }));
      },
    },
    verifyCommand(ports),
    strandedCommand(ports),
  ];
}

type Call = Pick<AdminRequest, "progress" | "signal">;

/** Runs one change of role at a time. */
class RoleChanges {
  #current: { readonly abort: AbortController; readonly ended: Promise<unknown> } | null = null;

  /** @throws Refusal `busy` while another one runs; what `change` throws */
  async run<T>({ progress, signal }: Call, change: (call: Call) => Promise<T>): Promise<T> {
    if (this.#current) throw new Refusal("busy", "another change of this site's role is under way");
    const abort = new AbortController();
    const running = change({ progress, signal: AbortSignal.any([signal, abort.signal]) });
    this.#current = { abort, ended: running.catch(() => undefined) };
    try {
      return await running;
    } finally {
      this.#current = null;
    }
  }

  /** Ends the one that runs, and waits for it. Returns whether there was one. */
  async end(): Promise<boolean> {
    if (!this.#current) return false;
    this.#current.abort.abort();
    await this.#current.ended;
    return true;
  }
}
