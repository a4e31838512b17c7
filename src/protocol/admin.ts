/**
 * How a site is acted on: `POST /admin/<command>` on the socket in its data folder, or `POST /api/admin/<command>` where the
 * configuration allows it, each with a JSON body. What is refused before a command runs is answered as any other call is; a
 * command answers lines of JSON, any number of progress and then one end.
 */
export const adminMediaType = "application/x-ndjson";

/** A body that names a file, a site or a row is far smaller. */
export const adminBytesMax = 64 * 1024;

export function adminPath(command: string): string {
  return `/admin/${command}`;
}

export function adminOverHttpPath(command: string): string {
  return `/api/admin/${command}`;
}
