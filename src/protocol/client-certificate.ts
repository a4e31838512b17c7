import type { Mistake } from "../core/errors.ts";

/** What can be wrong with the certificate that a peer shows where the site demands one. */
export type ClientCertificateFault = "missing" | "expired" | "untrusted";

const path = "client_certificate";

/** What the refused peer is told of it, beside the code `unauthorized`. */
const told: Readonly<Record<ClientCertificateFault, string>> = {
  missing: "is missing; show one of the authority in this site's listen.tls.client_ca",
  expired: "has expired; show one that is valid now",
  untrusted: "is not of the authority in this site's listen.tls.client_ca, or not meant for a client",
};

export function clientCertificateMistake(fault: ClientCertificateFault): Mistake {
  return { path, message: told[fault] };
}

/** The fault that a refusal's body names; undefined where it was refused for anything else. */
export function clientCertificateFaultIn(body: unknown): ClientCertificateFault | undefined {
  if (typeof body !== "object" || body === null || !("errors" in body)) return undefined;
  const first: unknown = Array.isArray(body.errors) ? body.errors[0] : undefined;
  if (typeof first !== "object" || first === null || !("path" in first) || !("message" in first))
    return undefined;
  if (first.path !== path) return undefined;
  return (["missing", "expired", "untrusted"] as const).find((fault) => told[fault] === first.message);
}
