import { open, unlink } from "node:fs/promises";
import { usageRefusal } from "./report.ts";

/** A file for a secret that a site is about to give out. */
export type NewFile = AsyncDisposable & {
  /** Writes the secret, durable when it resolves. */
  readonly keep: (secret: string) => Promise<void>;
};

/**
 * Makes an empty file that nobody else can read, before the secret is made: none is lost to a folder that cannot be written.
 * Disposing it removes it where nothing was kept in it. Without a path there is no file and nothing to do.
 * @throws Refusal `usage` where there is a file already, or none can be
 */
export async function newSecretFile(path: string | undefined): Promise<NewFile | undefined> {
  if (path === undefined) return undefined;
  const handle = await open(path, "wx", 0o600).catch((error: unknown) => {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
    throw exists
      ? usageRefusal(`${path} exists already`, "name a new file")
      : usageRefusal(`${path} cannot be written`, "name a file in a folder that can be written");
  });
  let isKept = false;
  return {
    keep: async (secret) => {
      await handle.writeFile(`${secret}\n`);
      await handle.sync();
      isKept = true;
    },
    [Symbol.asyncDispose]: async () => {
      await handle.close();
      if (!isKept) await unlink(path);
    },
  };
}
