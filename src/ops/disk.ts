import { statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { errnoOf } from "./config/secret-files.ts";

/** Room on the disk of a folder, as far as this user may fill it. */
export type DiskRoom = { readonly freeBytes: number; readonly isEnough: boolean };

/** Free bytes on the disk that holds a folder, or that will hold it once it is made. */
export async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const above = dirname(resolve(folder));
    if (errnoOf(error) !== "ENOENT" || above === resolve(folder)) throw error;
    return freeBytes(above);
  }
}

/** Whether the disk has the room that the configuration asks for: without it a site is not ready. */
export async function diskRoom(folder: string, freeBytesMin: number): Promise<DiskRoom> {
  const free = await freeBytes(folder);
  return { freeBytes: free, isEnough: free >= freeBytesMin };
}
