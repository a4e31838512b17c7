import type { Socket } from "node:net";

/** A raw connection. `ended` resolves with everything that came on it until the server ended it. */
export type Line<S extends Socket> = {
  readonly socket: S;
  readonly ended: Promise<string>;
  readonly read: (text: string) => Promise<void>;
};

/** A connection, and everything that came on it until the server ended it. */
export function follow<S extends Socket>(socket: S): Line<S> {
  let received = "";
  let onData = () => {};
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString();
    onData();
  });
  // A reset is an end too.
  socket.on("error", () => {});
  const ended = new Promise<string>((resolve) => void socket.on("close", () => resolve(received)));
  const read = (text: string) =>
    new Promise<void>((resolve) => {
      onData = () => received.includes(text) && resolve();
      onData();
    });
  return { socket, ended, read };
}
