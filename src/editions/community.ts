import type { AlertDetails, AlertEvent } from "../core/alert-events.ts";
import type { Edition } from "../core/edition.ts";

/** One site alone: nothing is replicated, nothing is marked, and an alert is a line in the log. */
export function communityEdition(
  logAlert: (event: AlertEvent, message: string, details: AlertDetails) => void,
): Edition {
  return {
    name: "community",
    signalReplication: () => undefined,
    alertOperator: logAlert,
    routes: [],
    adminCommands: [],
    peerOf: () => undefined,
    writeGuard: async () => undefined,
    waitReplicated: async () => ({}),
    start: async () => undefined,
    stop: async () => undefined,
  };
}
