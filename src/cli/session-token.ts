import { rm } from "node:fs/promises";
import { writeSecretFile } from "../ops/config/replace-file.ts";
import { readSecretFile } from "../ops/config/secret-files.ts";
import { readTokenFile } from "./file-input.ts";
import { usageRefusal } from "./report.ts";

const prefix = "dml_";

/**
 * Makes sure that a session's token may lie in a file before there is one: the file is not there yet, or holds a token of an earlier
 * session. A machine's token that is named by mistake would be lost for good.
 * @throws Refusal `usage`, `file_exposed`
 */
export async function requireSessionFile(path: string): Promise<void> {
  const file = await readSecretFile(path);
  if (file.kind === "missing") return;
  if ((await readTokenFile(path)).startsWith(prefix)) return;
  throw usageRefusal(`${path} holds something else than the token of a session`, "name another file");
}

/** Mode 0600. @throws Refusal `config_invalid` where it cannot be written */
export async function keepSessionToken(path: string, token: string): Promise<void> {
  await writeSecretFile(path, `${token}\n`);
}

/** The session is over, and its token of no use. Whatever else lies there stays. */
export async function removeSessionToken(path: string): Promise<void> {
  const file = await readSecretFile(path);
  if (file.kind === "read" && file.text.startsWith(prefix)) await rm(path, { force: true });
}
