import { Agent, createServer, type IncomingMessage, request } from "node:http";
import Sqlite from "better-sqlite3";

/**
 * One side of the floor: the least that any pair must do for a write. A durable commit, one POST on a kept connection, a durable
 * commit there, and nothing else: no access, no sealing, no proof, no history. Writes of one turn of the event loop share a commit, and
 * what piles up while a push is under way goes with the next one. It speaks as much of Dormouse's HTTP as the benchmarks ask for.
 * Its types are stripped before it starts, so it carries no compiler. Usage: PORT DATABASE [PORT OF THE BACKUP]
 */

type Waiting = { readonly bodies: readonly string[]; readonly answer: (lastSeq: number) => void };
type Row = { readonly seq: number; readonly body: string };

const [, port, path, backupPort] = process.argv;
const rowsPerPush = 500;
const retryMs = 100;
const database = new Sqlite(path ?? "");
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec("CREATE TABLE IF NOT EXISTS rows (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)");
const insert = database.prepare("INSERT OR IGNORE INTO rows (seq, body) VALUES (?, ?)");
const select = database.prepare<[string], { body: string }>("SELECT body FROM rows WHERE seq = ?");
const above = database.prepare<[number, number], Row>("SELECT seq, body FROM rows WHERE seq > ? LIMIT ?");
const commit = database.transaction((rows: readonly Row[]) => {
  for (const { seq, body } of rows) insert.run(seq, body);
});
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

let head = database.prepare<[], number>("SELECT coalesce(max(seq), 0) FROM rows").pluck().get() ?? 0;
let acked: number | null = null;
let pushes = 0;
let isPushing = false;
let waiting: Waiting[] = [];

function write(bodies: readonly string[], answer: (lastSeq: number) => void): void {
  waiting.push({ bodies, answer });
  if (waiting.length === 1) setImmediate(commitWaiting);
}

function commitWaiting(): void {
  const taken = waiting;
  waiting = [];
  const rows: Row[] = [];
  const answers = taken.map(({ bodies, answer }) => {
    for (const body of bodies) rows.push({ seq: (head += 1), body });
    const last = head;
    return () => answer(last);
  });
  commit(rows);
  for (const answer of answers) answer();
  void push();
}

async function push(): Promise<void> {
  if (isPushing || backupPort === undefined) return;
  isPushing = true;
  while (acked !== head) {
    try {
      if (acked !== null) pushes += 1;
      acked = await send(acked === null ? [] : above.all(acked, rowsPerPush));
    } catch {
      acked = null;
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
  isPushing = false;
}

/** Resolves with what the backup holds up to. */
function send(rows: readonly Row[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { port: backupPort, host: "127.0.0.1", method: "POST", path: "/push", agent };
    const sent = request(options, (answer) => {
      read(answer).then((text) => resolve(Number(text)), reject);
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(rows));
  });
}

function read(message: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    message.setEncoding("utf8");
    message.on("data", (part: string) => {
      text += part;
    });
    message.on("end", () => resolve(text));
    message.on("error", reject);
  });
}

function status(): string {
  const peer = { state: isPushing ? "pushing" : "asleep", acked: `1:${acked}`, counters: { pushes } };
  return JSON.stringify({ head: `1:${head}`, applied: `1:${head}`, peers: [peer] });
}

function apply(rows: readonly Row[]): string {
  commit(rows);
  head = rows.at(-1)?.seq ?? head;
  return String(head);
}

createServer((asked, answer) => {
  void read(asked).then((text) => {
    const { method, url = "" } = asked;
    const end = (body: string): unknown => answer.end(body);
    const written = (seq: number): void => {
      answer.setHeader("etag", `"1:${seq}"`);
      end(JSON.stringify({ entry_id: String(seq) }));
    };
    if (url === "/healthz") return end('{"status":"ok"}');
    if (url === "/api/replication") return end(status());
    if (url === "/push") return end(apply(JSON.parse(text) as Row[]));
    if (url === "/entries" && method === "POST") return write([text], written);
    if (url === "/entries/import") {
      const { entries } = JSON.parse(text) as { readonly entries: readonly unknown[] };
      return write(
        entries.map((entry) => JSON.stringify(entry)),
        written,
      );
    }
    const found = select.get(url.slice("/entries/".length));
    answer.statusCode = found === undefined ? 404 : 200;
    return end(found?.body ?? "{}");
  });
}).listen(Number(port), "127.0.0.1", () => void push());
