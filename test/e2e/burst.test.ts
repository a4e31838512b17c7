import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { call, initPair, type SiteProcess, Sites } from "../support/processes.ts";
import { createVault, drained, type Vault } from "../support/replicated-vault.ts";

const burstWrites = 50;

async function pushesOf(primary: SiteProcess): Promise<number> {
  const [peer] = (await drained(primary)).peers;
  return peer?.counters.pushes ?? Number.NaN;
}

const note = (n: number) => ({ type: "note", title: `Note ${n}`, notes: "The key lies under the mat." });
const notes = Array.from({ length: burstWrites }, (_, n) => note(n));

async function post(primary: SiteProcess, { path, token }: Vault, body: object): Promise<void> {
  const { status } = await call(primary, { method: "POST", path, token, body });
  expect(status).toBe(201);
}

/**
 * Sends one write over each of so many connections while the site's process is stopped, lets it go on when all of them lie in the
 * kernel, and waits for every answer: a burst, however busy the machine keeps its clients.
 */
async function burst(primary: SiteProcess, vault: Vault): Promise<void> {
  const { pid } = primary;
  if (pid === undefined) throw new Error("the site does not run");
  process.kill(pid, "SIGSTOP");
  const sockets = await Promise.all(notes.map((body) => sent(primary, vault, body)));
  const answers = sockets.map(firstLineOf);
  process.kill(pid, "SIGCONT");
  expect(new Set(await Promise.all(answers))).toEqual(new Set(["HTTP/1.1 201 Created"]));
}

function sent(primary: SiteProcess, { path, token }: Vault, body: object): Promise<Socket> {
  const text = JSON.stringify(body);
  const head = [
    `POST ${path} HTTP/1.1`,
    `Host: 127.0.0.1`,
    `Authorization: Bearer ${token}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
  ];
  const { hostname, port } = new URL(primary.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    socket.once("error", reject);
    socket.write(`${head.join("\r\n")}\r\n\r\n${text}`, () => resolve(socket));
  });
}

async function firstLineOf(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text.split("\r\n")[0] ?? "";
}

/** A pair that has just started, and a vault on it that is at both sites. */
async function freshPair(sites: Sites): Promise<{ readonly calgary: SiteProcess; readonly vault: Vault }> {
  const { calgary, zurich } = await initPair(sites);
  await zurich.start();
  await calgary.start();
  return { calgary, vault: await createVault(calgary) };
}

// Where something else takes the processor for longer than a worker waits, a burst falls into more pieces: that is tried again.
describe("on a pair that has just started", { timeout: 120_000, retry: 3 }, () => {
  it("fifty clients that write at once cost two pushes at most, and so do the next fifty", async () => {
    await using sites = await Sites.inTemporaryFolder();
    const { calgary, vault } = await freshPair(sites);
    for (const which of ["cold", "warm"]) {
      const before = await pushesOf(calgary);
      await burst(calgary, vault);
      expect((await pushesOf(calgary)) - before, which).toBeLessThanOrEqual(2);
    }
  });

  it("an import of fifty costs one push, and a write that waits for the backup does not wait for itself", async () => {
    await using sites = await Sites.inTemporaryFolder();
    const { calgary, vault } = await freshPair(sites);
    const before = await pushesOf(calgary);
    await post(calgary, { ...vault, path: `${vault.path}/import` }, { entries: notes });
    expect((await pushesOf(calgary)) - before).toBe(1);
    const request = {
      method: "POST",
      path: vault.path,
      token: vault.token,
      body: note(0),
      prefer: "wait=20",
    };
    const { body } = await call(calgary, request);
    expect(body).toMatchObject({ replication: { dirty: false, backups: { zurich: true } } });
  });
});
