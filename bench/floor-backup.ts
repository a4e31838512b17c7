import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Sqlite from "better-sqlite3";
import { instantMs } from "./support/instant.ts";
import { answerParent, reportVisible } from "./support/messages.ts";

/** The floor's other side: each POST is one raw commit. Usage: floor-backup.ts DATABASE */

const database = new Sqlite(process.argv[2] ?? "");
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec("CREATE TABLE rows (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)");
const insert = database.prepare("INSERT INTO rows (seq, body) VALUES (?, ?)");

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const seq = Number(request.url?.slice(1));
    insert.run(seq, Buffer.concat(parts));
    reportVisible(seq, instantMs());
    response.end();
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  answerParent({ port: () => port }, async () => {
    database.close();
  });
});
