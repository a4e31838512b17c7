import { type ErrorCode, Refusal } from "../../core/errors.ts";

/**
 * What a failed disk means to whoever asked: SQLite's result codes (sqlite.org/rescode.html) and the system's as refusals. Anything that is
 * no fault of the machine passes as it is: a refusal, or a bug.
 */
export function refusalOf(error: unknown): unknown {
  if (error instanceof Refusal || !(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const refusal = refusalCode(code) ?? ("syscall" in error ? "storage_failed" : undefined);
  return refusal === undefined ? error : new Refusal(refusal, `the database could not be used: ${code}`);
}

function refusalCode(code: string): ErrorCode | undefined {
  if (code === "ENOSPC" || code === "EDQUOT") return "disk_full";
  const primary = /^SQLITE_[A-Z]+/.exec(code)?.[0];
  switch (primary) {
    case "SQLITE_FULL":
      return "disk_full";
    case "SQLITE_CORRUPT":
    case "SQLITE_NOTADB":
      return "database_corrupt";
    case "SQLITE_IOERR":
    case "SQLITE_CANTOPEN":
    case "SQLITE_READONLY":
    case "SQLITE_PERM":
    case "SQLITE_BUSY":
    case "SQLITE_LOCKED":
    case "SQLITE_PROTOCOL":
    case "SQLITE_NOMEM":
      return "storage_failed";
    default:
      return undefined;
  }
}
