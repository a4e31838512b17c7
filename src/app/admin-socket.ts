import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../core/errors.ts";

const socketName = "admin.sock";
/** What every system takes of a socket's path (unix(7): 108 with its end on Linux, 104 elsewhere). */
const pathBytesMax = 100;

/** A path to a site's admin socket that is short enough to listen on or to connect to, until it is disposed of. */
export type SocketPath = Disposable & { readonly path: string };

/**
 * The admin socket of a data folder. Where the folder's path is too long for a socket, a path through an open handle on the
 * folder, which Linux has.
 * @throws Refusal `data_missing` where a long path leads to no folder, `config_invalid` where this system has no way to it
 */
export function openSocketPath(dataFolder: string): SocketPath {
  const path = join(dataFolder, socketName);
  if (Buffer.byteLength(path) <= pathBytesMax) return { path, [Symbol.dispose]: () => undefined };
  if (process.platform !== "linux") throw tooLong(path);
  const handle = openFolder(dataFolder);
  return { path: `/proc/self/fd/${handle}/${socketName}`, [Symbol.dispose]: () => closeSync(handle) };
}

function openFolder(folder: string): number {
  try {
    return openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    throw new Refusal("data_missing", `there is no folder ${folder}`);
  }
}

function tooLong(path: string): Refusal {
  const bytes = Buffer.byteLength(path);
  const detail = `the admin socket's path has ${bytes} bytes and may have ${pathBytesMax} on this system`;
  return new Refusal("config_invalid", `${detail}: choose a shorter data folder`);
}
