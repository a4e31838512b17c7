import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { follow, type Line } from "../../test/support/line.ts";
import { type HttpSite, type HttpSiteOptions, openHttpSite } from "../../test/support/http-site.ts";

/** A request takes far less, and a test should not take long. */
const deadlineMs = 150;
const keepAliveMs = 100;

let site: HttpSite;
/** The server's ends of the connections that are open. */
let sockets: Set<Socket>;
afterEach(() => site.close());

async function listen(options: HttpSiteOptions = {}): Promise<number> {
  site = await openHttpSite({ deadlineMs, keepAliveMs, ...options });
  sockets = new Set();
  site.app.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await site.app.listen({ host: "127.0.0.1", port: 0 });
  const address = site.app.server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

const open = (port: number): Line<Socket> => follow(connect(port, "127.0.0.1"));

const post = (token: string, length: number) =>
  `POST /api/vaults HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
const get = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

describe("a peer that owes bytes is cut off", () => {
  it("when it says nothing at all", async () => {
    const { ended } = open(await listen());
    expect(await ended).toBe("");
  });

  it("in the middle of its headers, even when it sends a little now and then", async () => {
    const { socket, ended } = open(await listen());
    socket.write("GET /healthz HTTP/1.1\r\nhost: a\r\n");
    const trickle = setInterval(() => socket.write("x: y\r\n"), 20);
    expect(await ended).toBe("");
    clearInterval(trickle);
  });

  it("in the middle of its body, even when it sends a little now and then", async () => {
    const { socket, ended } = open(await listen());
    socket.write(post(site.operator, 1000));
    const trickle = setInterval(() => socket.write(" "), 20);
    expect(await ended).toBe("");
    clearInterval(trickle);
    expect((await site.call("GET /api/vaults", { token: site.operator })).json.vaults).toEqual([]);
  });

  it("in the middle of the headers of its second request", async () => {
    const { socket, ended, read } = open(await listen());
    socket.write(get);
    await read('"status":"ok"');
    socket.write("GET /healthz HTTP/1.1\r\n");
    expect((await ended).match(/HTTP\/1\.1 200/g)).toHaveLength(1);
  });

  it("in the middle of a body that it was refused already", async () => {
    const { socket, ended, read } = open(await listen());
    socket.write(post("nobody", 1000));
    await read('"unauthorized"');
    expect(await ended).toContain("401");
  });
});

describe("a peer that owes nothing is not", () => {
  it("while it waits for an answer that takes longer than the deadline", async () => {
    const { promise: answered, resolve } = Promise.withResolvers<readonly string[]>();
    const port = await listen({ readiness: () => answered });
    const { socket, ended } = open(port);
    socket.write("GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    // Another peer, connected later, is cut off first: the deadline has passed.
    await open(port).ended;
    resolve([]);
    expect(await ended).toContain('"status":"ready"');
  });

  it("for a refusal with a body that it has sent: the connection goes on", async () => {
    const { socket, ended, read } = open(await listen());
    const body = " ".repeat(100_000);
    for (let round = 0; round < 3; round += 1) socket.write(post("nobody", body.length) + body);
    socket.write(get);
    await read('"status":"ok"');
    expect((await ended).match(/HTTP\/1\.1 401/g)).toHaveLength(3);
  });

  it("until it has been idle for the keep-alive time", async () => {
    const { socket, ended, read } = open(await listen());
    socket.write(get);
    await read('"status":"ok"');
    expect((await ended).toLowerCase()).toContain("connection: keep-alive");
  });
});

describe("a client that sends requests ahead of their answers", () => {
  const ready = "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";

  it("has one of them worked on at a time, and is answered in order", async () => {
    let [working, most, answered] = [0, 0, 0];
    const readiness = async () => {
      working += 1;
      most = Math.max(most, working);
      await new Promise((done) => setTimeout(done, 5));
      working -= 1;
      answered += 1;
      return [`reason ${answered}`];
    };
    const { socket, ended } = open(await listen({ readiness }));
    socket.write(ready.repeat(10));
    const received = await ended;
    expect(most).toBe(1);
    expect(received.match(/reason \d+/g)).toEqual(Array.from({ length: 10 }, (_, i) => `reason ${i + 1}`));
  });

  it("is cut off where it sends more than sixteen, and none of the rest is worked on", async () => {
    let asked = 0;
    const { promise: never } = Promise.withResolvers<readonly string[]>();
    const readiness = () => {
      asked += 1;
      return never;
    };
    const { socket, ended } = open(await listen({ readiness }));
    socket.write(ready.repeat(200));
    expect(await ended).toBe("");
    expect(asked).toBe(1);
  });

  it("and reads none of them holds one answer, and is cut off", async () => {
    const port = await listen({ readiness: async () => ["x".repeat(100_000)] });
    const { socket, ended } = open(port);
    socket.pause();
    // One by one: more at a time would be cut off as too many ahead.
    const sending = setInterval(() => socket.write(ready), 5);
    await expect.poll(() => sockets.size).toBe(1);
    const [held] = [...sockets];
    // Where the system's buffers are full, an answer waits in the process.
    await expect.poll(() => held?.writableLength ?? 0, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(held?.writableLength).toBeLessThan(200_000);
    // A client on a slow line gets more than the deadline for as much.
    await new Promise((later) => setTimeout(later, 10 * deadlineMs));
    expect(held?.destroyed).toBe(false);
    await new Promise<void>((closed) => held?.once("close", () => closed()));
    clearInterval(sending);
    socket.destroy();
    await ended;
  }, 60_000);
});

describe("the number of connections", () => {
  it("is bounded: the one that was idle longest makes room, and one at work never does", async () => {
    const { promise: answered, resolve } = Promise.withResolvers<readonly string[]>();
    const caps = { total: 3, perAddress: 100 };
    const port = await listen({ readiness: () => answered, caps, deadlineMs: 60_000, keepAliveMs: 60_000 });
    const working = open(port);
    working.socket.write("GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const idle = [open(port), open(port)] as const;
    for (const { socket, read } of idle) {
      socket.write(get);
      await read('"status":"ok"');
    }
    const late = open(port);
    late.socket.write(get);
    await late.read('"status":"ok"');
    await idle[0].ended;
    expect(idle[1].socket.destroyed).toBe(false);
    resolve([]);
    expect(await working.ended).toContain('"status":"ready"');
  });

  it("of one address is bounded by itself; where all are at work, one more is told to come again", async () => {
    const { promise: answered, resolve } = Promise.withResolvers<readonly string[]>();
    const caps = { total: 100, perAddress: 2 };
    const port = await listen({ readiness: () => answered, caps, deadlineMs: 60_000, keepAliveMs: 60_000 });
    const working = [open(port), open(port)];
    for (const { socket } of working) {
      socket.write("GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    }
    await expect.poll(() => sockets.size).toBe(2);
    expect(await open(port).ended).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 1/);
    resolve([]);
    for (const { ended } of working) expect(await ended).toContain('"status":"ready"');
  });
});

describe("what is not HTTP", () => {
  it.each([
    ["garbage", "hunter2 hunter2\r\n\r\n", "400"],
    ["headers over what Node takes", `GET / HTTP/1.1\r\nx: ${"hunter2".repeat(5_000)}\r\n\r\n`, "431"],
    [
      "two lengths",
      "POST /api/vaults HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
      "400",
    ],
  ])("gets a problem and the end of the line: %s", async (_, sent, status) => {
    const { socket, ended } = open(await listen());
    socket.write(sent);
    const received = await ended;
    expect(received).toContain(`HTTP/1.1 ${status} `);
    expect(received).toContain("content-type: application/problem+json");
    expect(received).not.toContain("hunter2");
    const [head = "", body = ""] = received.split("\r\n\r\n");
    expect(head).toContain(`content-length: ${body.length}`);
    expect(JSON.parse(body)).toMatchObject({ code: "invalid_request", status: Number(status) });
  });
});

describe("a server that closes", () => {
  const patient = { deadlineMs: 60_000, keepAliveMs: 60_000 };

  /** A client whose request is being worked on until `resolve` is called. */
  async function asking() {
    const { promise: answered, resolve } = Promise.withResolvers<readonly string[]>();
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    const readiness = () => {
      onAsked();
      return answered;
    };
    const { socket, ended } = open(await listen({ ...patient, readiness }));
    socket.write("GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n");
    await asked;
    return { socket, ended, resolve };
  }

  it("ends idle connections at once, used and unused ones, and unfinished headers", async () => {
    const port = await listen(patient);
    // An unfinished body is given a moment more, so this one ends last.
    const slow = open(port);
    slow.socket.write(post(site.operator, 1000));
    const [used, unused, unfinished] = [open(port), open(port), open(port)];
    used.socket.write(get);
    await used.read('"status":"ok"');
    unfinished.socket.write("GET /healthz HTTP/1.1\r\n");
    // A further answer shows that the server has seen what was sent before.
    const last = open(port);
    last.socket.write(get);
    await last.read('"status":"ok"');
    const closed = site.app.close();
    const idle = Promise.all([used.ended, unused.ended, unfinished.ended, last.ended]);
    const first = await Promise.race([slow.ended.then(() => "slow"), idle.then(() => "idle")]);
    expect(first).toBe("idle");
    await closed;
  });

  it("finishes what is in flight, then ends its connection", async () => {
    const { ended, resolve } = await asking();
    const closed = site.app.close();
    resolve([]);
    expect(await ended).toContain('"status":"ready"');
    await closed;
  });

  it("refuses a request that still arrives, in the form of any other refusal", async () => {
    const { socket, ended, resolve } = await asking();
    const closed = site.app.close();
    socket.write(get);
    await new Promise((done) => setImmediate(done));
    resolve([]);
    const received = await ended;
    expect(received).toContain('"status":"ready"');
    await closed;
  });

  it("does not wait for a body that does not come", async () => {
    const port = await listen(patient);
    const { socket, ended } = open(port);
    socket.write(post(site.operator, 1000));
    const other = open(port);
    other.socket.write(get);
    await other.read('"status":"ok"');
    await site.app.close();
    expect(await ended).toBe("");
    await other.ended;
  });
});
