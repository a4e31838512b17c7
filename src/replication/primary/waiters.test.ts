import { expect, test } from "vitest";
import type { EntryId, VaultId } from "../../core/ids.ts";
import type { Acknowledgement } from "../../core/store/replication.ts";
import { Waiters } from "./waiters.ts";

const at = (seq: number) => ({ epoch: 1, seq });
const never = (): AbortSignal => new AbortController().signal;
const key = { kind: "entry", vaultId: "v" as VaultId, entryId: "e" as EntryId } as const;

function ack(seq: number, changes: Partial<Acknowledgement> = {}): Acknowledgement {
  const through = { position: at(seq), chain: new Uint8Array(32) };
  return { through, rows: [], rejected: [], verified: null, ...changes };
}

test("who waits for a row hears of it with the ACK that covers it, and not before", async () => {
  const waiters = new Waiters();
  const seen: string[] = [];
  const held = waiters.wait("held", at(5), never()).then((is) => seen.push(`held ${is}`));
  const refused = waiters.wait("held", at(4), never()).then((is) => seen.push(`refused ${is}`));
  waiters.acknowledged(ack(3));
  await Promise.resolve();
  expect(seen).toEqual([]);
  const rejected = [{ key, position: at(4), code: "row_hash_wrong" as const }];
  waiters.acknowledged(ack(5, { rejected }));
  await Promise.all([held, refused]);
  expect(seen.toSorted()).toEqual(["held true", "refused false"]);
});

test("who waits for a proof hears of an equal one at or above its position, and of a drain that ends without", async () => {
  const waiters = new Waiters();
  let isSettled = false;
  const proved = waiters.wait("proved", at(5), never()).finally(() => {
    isSettled = true;
  });
  waiters.acknowledged(ack(4, { verified: true }));
  waiters.acknowledged(ack(6, { verified: false }));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isSettled).toBe(false);
  waiters.acknowledged(ack(6, { verified: true }));
  expect(await proved).toBe(true);
  const unproved = waiters.wait("proved", at(6), never());
  const later = waiters.wait("proved", at(8), never());
  waiters.drained();
  expect(await unproved).toBe(false);
  waiters.acknowledged(ack(8, { verified: true }));
  expect(await later).toBe(true);
});

test("an abort, also one that was before, and the end settle everybody", async () => {
  const waiters = new Waiters();
  const abort = new AbortController();
  const first = waiters.wait("held", at(1), abort.signal);
  abort.abort();
  expect(await first).toBe(false);
  expect(await waiters.wait("proved", at(1), abort.signal)).toBe(false);
  const last = waiters.wait("held", at(1), never());
  waiters.end();
  expect(await last).toBe(false);
});
