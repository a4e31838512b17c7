import type { AuditActor } from "../core/audit.ts";
import type { Admitted } from "./authentication.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    readonly bodyBytesMax?: number;
    /** Whether the body is handed on as bytes. */
    readonly isImport?: boolean;
    /** Whether the body may be compressed. */
    readonly isCompressible?: boolean;
  }

  interface FastifyRequest {
    /** Set before the body is read. */
    admitted: Admitted;
    /** Whether the audit has it. */
    isRecorded: boolean;
    /** Ends the counting of a client's write; undefined for any other call. */
    endWrite: (() => void) | undefined;
    /** Who was verified, whether or not the call is open to them; undefined where nobody was. */
    actor: AuditActor | undefined;
  }
}
