import { expect, it } from "vitest";
import { Refusal } from "../../core/errors.ts";
import { parametersWithSalt } from "../../crypto/passphrase.ts";
import { KeyStretching } from "./key-stretching.ts";

const parameters = parametersWithSalt(new Uint8Array(16));
const signal = new AbortController().signal;

/** Stretching that lasts until a test ends it. */
function scripted() {
  const running: { readonly passphrase: string; readonly end: (error?: Error) => void }[] = [];
  const queue = new KeyStretching((passphrase) => {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const end = (error?: Error) => {
      running.splice(running.indexOf(entry), 1);
      if (error) reject(error);
      else resolve(new Uint8Array([passphrase.charCodeAt(0)]));
    };
    const entry = { passphrase, end };
    running.push(entry);
    return promise;
  });
  const endAll = () => {
    for (const { end } of running.slice()) end();
  };
  return { running, queue, endAll, names: () => running.map(({ passphrase }) => passphrase).join("") };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "done",
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

it("two run at once, eight wait in their order, and the next is told to come back", async () => {
  const { running, queue, names } = scripted();
  const answers = "abcdefghijk".split("").map((name) => codeOf(queue.stretch(name, parameters, signal)));
  expect(await answers[10]).toBe("busy");
  const order: string[] = [];
  for (let i = 0; i < 10; i += 1) {
    await settled();
    expect(names()).toHaveLength(Math.min(2, 10 - i));
    order.push(names()[0] ?? "");
    running[0]?.end();
  }
  expect(order.join("")).toBe("abcdefghij");
  expect(await Promise.all(answers.slice(0, 10))).toEqual(Array.from({ length: 10 }, () => "done"));
});

it("who goes away while waiting makes room, and costs nothing", async () => {
  const { running, queue, names, endAll } = scripted();
  const gone = new AbortController();
  const first = ["a", "b"].map((name) => queue.stretch(name, parameters, signal));
  const left = codeOf(queue.stretch("c", parameters, gone.signal));
  const last = queue.stretch("d", parameters, signal);
  gone.abort();
  expect(await left).toBe("shutting_down");
  running[0]?.end();
  await settled();
  expect(names()).toBe("bd");
  endAll();
  await Promise.all([...first, last]);
  expect(await codeOf(queue.stretch("e", parameters, gone.signal))).toBe("shutting_down");
});

it("who goes away once it runs takes nobody's place in the queue", async () => {
  const { running, queue, endAll } = scripted();
  const gone = new AbortController();
  const first = ["a", "b"].map((name) => queue.stretch(name, parameters, signal));
  const begun = queue.stretch("c", parameters, gone.signal);
  const waiting = ["d", "e"].map((name) => queue.stretch(name, parameters, signal));
  await settled();
  running[0]?.end();
  await settled();
  gone.abort();
  for (let i = 0; i < 3; i += 1) {
    endAll();
    await settled();
  }
  expect(await Promise.all([...first, begun, ...waiting])).toHaveLength(5);
});

it("one that fails gives its place on", async () => {
  const { running, queue, names, endAll } = scripted();
  const [a, b, c] = ["a", "b", "c"].map((name) => codeOf(queue.stretch(name, parameters, signal)));
  await settled();
  running[0]?.end(new Error("no memory"));
  expect(await a).toBe("Error: no memory");
  await settled();
  expect(names()).toBe("bc");
  endAll();
  expect(await Promise.all([b, c])).toEqual(["done", "done"]);
});
