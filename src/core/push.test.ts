import { expect, it } from "vitest";
import type { Epoch } from "./epoch.ts";
import type { RealmId, SiteName, VaultId } from "./ids.ts";
import type { Point } from "./position.ts";
import { judgePush, type Push, protocolVersion, type Receiver, replaces } from "./push.ts";
import type { Row } from "./row.ts";

const realm = "6f1d1a36-6d0e-4d39-9c1b-0d7c1f9a2b11" as RealmId;
const epoch: Epoch = { number: 1, id: "5b8e6f10-73c5-4bb2-8f0e-6f2a4c1d9e77" };
const point = (seq: number, chain = seq): Point => ({
  position: { epoch: 1, seq },
  chain: new Uint8Array(32).fill(chain),
});
const receiver: Receiver = {
  site: "zurich" as SiteName,
  realm,
  role: "backup",
  epoch,
  applied: point(4),
  timeline: [],
};
const push: Omit<Push, "rows"> = {
  protocol: protocolVersion,
  realm,
  site: "calgary" as SiteName,
  publicUrl: "https://calgary.example",
  epoch,
  timeline: [],
  after: point(4),
  through: point(6),
  points: [],
  digest: null,
  except: [],
};
const rowAt = (seq: number): Row => ({
  key: { kind: "vault", vaultId: "019b76da-a800-7000-8000-000000000001" as VaultId },
  position: { epoch: 1, seq },
  hash: new Uint8Array(32),
  body: new Uint8Array(),
});

it("a push continues from exactly the backup's watermark: the same position on another chain is another history", () => {
  expect(judgePush(receiver, push)).toBeUndefined();
  expect(judgePush(receiver, { ...push, after: point(3) })).toBe("resume");
  expect(judgePush(receiver, { ...push, after: point(5) })).toBe("resume");
  expect(judgePush(receiver, { ...push, after: point(4, 9) })).toBe("resume");
});

it("a row replaces one at a lower position, never one at the same or a higher", () => {
  expect(replaces(rowAt(4), undefined)).toBe(true);
  expect(replaces(rowAt(4), rowAt(3))).toBe(true);
  expect(replaces(rowAt(4), rowAt(4))).toBe(false);
  expect(replaces(rowAt(4), rowAt(5))).toBe(false);
});
