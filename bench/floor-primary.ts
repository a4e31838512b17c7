import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Sqlite from "better-sqlite3";
import { Pool } from "undici";
import { instantMs, pause } from "./support/instant.ts";
import { answerParent } from "./support/messages.ts";
import { rowBody } from "./support/sample-entry.ts";

/**
 * The least that any pair must do for a write: a raw commit here, a kept-alive POST, a raw commit there, nothing else.
 * Usage: floor-primary.ts DATABASE ORIGIN-OF-THE-BACKUP
 */

const [, , path = "", origin = ""] = process.argv;
const database = new Sqlite(path);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec("CREATE TABLE rows (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)");
const insert = database.prepare("INSERT INTO rows (seq, body) VALUES (?, ?)");
const pool = new Pool(origin, { connections: 1 });
let seq = 0;

function commit(body: Uint8Array): number {
  seq += 1;
  insert.run(seq, body);
  return seq;
}

async function push(committed: number, body: Uint8Array): Promise<void> {
  const answer = await pool.request({ method: "POST", path: `/${committed}`, body });
  await answer.body.dump();
}

type Begun = { readonly seq: number; readonly beganMs: number };

/** Started in this process: commit, POST, commit. Returns when each began. */
async function run({ count, restMs }: { count: number; restMs: number }): Promise<Begun[]> {
  const begun: Begun[] = [];
  for (let i = 0; i < count; i += 1) {
    const beganMs = instantMs();
    const committed = commit(rowBody);
    await push(committed, rowBody);
    begun.push({ seq: committed, beganMs });
    if (restMs > 0) await pause(restMs);
  }
  return begun;
}

/** Started by a client: commit, answer; then POST, commit. */
const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    const committed = commit(body);
    response.end(String(committed));
    void push(committed, body);
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  answerParent({ port: () => port, run }, async () => {
    await pool.destroy();
    database.close();
  });
});
