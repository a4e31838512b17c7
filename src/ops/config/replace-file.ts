import { type FileHandle, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Refusal } from "../../core/errors.ts";
import { errnoOf } from "./secret-files.ts";

/**
 * Puts a text in the place of a file's contents: whoever reads sees the old or the new, whole, also after a crash. Mode and
 * owner stay. A link stays one: what is replaced is the file that it leads to.
 * @throws Refusal `config_invalid` where the file cannot be replaced
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  await refusing(path, async () => {
    const target = await realpath(path);
    const { mode, uid, gid } = await stat(target);
    await writeThrough(target, text, async (file) => {
      // Only root may give a file away; whoever else edits a file of another keeps it as one's own.
      await file.chown(uid, gid).catch(() => undefined);
      await file.chmod(mode & 0o7777);
    });
  });
}

/**
 * Makes a file that only its owner can read, or replaces its contents as `replaceFile` does.
 * @throws Refusal `config_invalid` where it cannot be written
 */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere) await replaceFile(path, text);
  else await refusing(path, () => writeThrough(path, text, (file) => giveToOwnerOf(dirname(path), file)));
}

/** What root writes into a folder of the site's user must be readable for that user; nobody else can give a file away. */
async function giveToOwnerOf(folder: string, file: FileHandle): Promise<void> {
  const { uid, gid } = await stat(folder);
  await file.chown(uid, gid).catch(() => undefined);
}

/** Of this process, by name. */
const drafts = new Set<string>();

/** A draft beside the target, durable before it takes the target's place. */
async function writeThrough(
  target: string,
  text: string,
  adjust: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const folder = dirname(target);
  await removeLostDrafts(folder);
  // Loaded here: a command that replaces no file starts 5 ms sooner without it.
  const { randomBytes } = await import("node:crypto");
  const name = `.dormouse-${process.pid}-${randomBytes(6).toString("hex")}.partial`;
  const draft = join(folder, name);
  drafts.add(name);
  try {
    {
      await using file = await open(draft, "wx", 0o600);
      await file.writeFile(text);
      await adjust(file);
      await file.sync();
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    drafts.delete(name);
  }
  await using handle = await open(folder, "r");
  await handle.sync();
}

/** A process that was killed while it wrote left its draft, and a secret in it perhaps. Those of living processes stay. */
async function removeLostDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, pid] = /^\.dormouse-(\d+)-[0-9a-f]{12}\.partial$/.exec(name) ?? [];
    if (pid === undefined) continue;
    // In a container each process may have the same id as the one before it.
    const isAlive = Number(pid) === process.pid ? drafts.has(name) : isRunning(Number(pid));
    if (!isAlive) await rm(join(folder, name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}

async function refusing(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    const code = errnoOf(error);
    if (error instanceof Refusal || code === undefined) throw error;
    throw new Refusal("config_invalid", `${path} cannot be written (${code})`);
  }
}
