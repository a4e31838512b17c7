import { describe, expect, it } from "vitest";
import type { AuditPart } from "../core/audit.ts";
import type { Epoch } from "../core/epoch.ts";
import type { ChainId, EntryId, RealmId, SiteName, StrandedId, VaultId } from "../core/ids.ts";
import type { AsideStep, GrantMessage, RepairReply, RepairStep } from "../core/ports.ts";
import type { Identity, Push } from "../core/push.ts";
import type { Row, RowKey } from "../core/row.ts";
import type { Grant } from "../core/store/roles.ts";
import { decodeAside, encodeAside, encodeAsideReply, readAsideReply } from "./aside-frames.ts";
import {
  decodeHello,
  encodeHello,
  encodeHelloReply,
  readHelloReply,
  readIdentity,
  readRefusal,
} from "./identity-frames.ts";
import { decodePush, encodeApplied, encodePush, readApplied } from "./push-frames.ts";
import { decodeRepair, encodeRepair, encodeRepairReply, readRepairReply } from "./repair-frames.ts";
import {
  decodeGrantRequest,
  decodeLocate,
  encodeGrantReply,
  encodeGrantRequest,
  encodeLocate,
  encodeLocateReply,
  readGrantReply,
  readLocateReply,
} from "./role-frames.ts";
import { parseKey, readPushedRow } from "./wire-rows.ts";

const uuid = (digit: number): string => `${digit}0000000-0000-4000-8000-000000000000`;
const vaultId = uuid(1) as VaultId;
const zurich = "zurich" as SiteName;
const hashOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const point = (seq: number) => ({ position: { epoch: 2, seq }, chain: hashOf(seq) });
const epoch: Epoch = { number: 2, id: "b" };
const timeline = [{ epoch, site: zurich, from: point(3) }];
const realm = uuid(9) as RealmId;
const identity: Identity = { site: zurich, realm, role: "primary", epoch, applied: point(7) };
const entryKey: RowKey = { kind: "entry", vaultId, entryId: uuid(2) as EntryId };
const strandedKey: RowKey = { kind: "stranded", vaultId, strandedId: uuid(3) as StrandedId };
const live: Row = {
  key: entryKey,
  position: { epoch: 2, seq: 6 },
  hash: hashOf(1),
  body: Uint8Array.of(1, 2),
};
const gone: Row = { key: strandedKey, position: { epoch: 2, seq: 7 }, hash: hashOf(2), body: null };
const push: Push = {
  protocol: 1,
  realm,
  site: zurich,
  publicUrl: "https://zurich.example",
  epoch,
  timeline,
  after: point(5),
  through: point(7),
  points: [point(6)],
  digest: hashOf(4),
  except: [strandedKey],
  rows: [live, gone].map((row) => ({ kind: "row", row })),
};
const grant: Grant = { id: uuid(4), to: zurich, epoch, head: point(7) };

const chain = uuid(5) as ChainId;
const audit: AuditPart = {
  heads: [{ chain, site: zurich, anchor: { seq: 3, hash: hashOf(5) }, head: { seq: 4, hash: hashOf(6) } }],
  records: [
    {
      chain,
      seq: 4,
      at: 1_763_000_000_123,
      actor: { kind: "access", id: null },
      action: "getEntry",
      vaultId,
      itemId: null,
      address: "192.0.2.7",
      result: "ok",
      details: Uint8Array.of(1, 2, 3),
      hash: hashOf(6),
    },
  ],
  more: true,
};

type Fields = Record<string, unknown>;
const textOf = (sent: Push): string => Buffer.concat([...encodePush(sent)]).toString();
const fieldsOf = (text: string): Fields => JSON.parse(text) as Fields;
/** What arrives is parsed JSON. */
const overTheWire = (body: object): unknown => JSON.parse(JSON.stringify(body));

describe("what is sent is what is read", () => {
  it("of a push with points, digest and exceptions", () => {
    expect(decodePush(fieldsOf(textOf(push)))).toEqual({ kind: "decoded", value: push });
  });

  it("of an ACK with its proof and what is put aside", () => {
    const rejected = [
      { key: { kind: "new", key: { id: "1" } }, position: live.position, code: "row_kind_unknown" as const },
    ];
    const ack = { identity, accepted: 1, ignored: 0, rejected, verified: false, aside: 3 };
    expect(readApplied(overTheWire(encodeApplied(ack)))).toEqual(ack);
  });

  it("of what a push and its ACK tell of the audit", () => {
    expect(decodePush(fieldsOf(textOf({ ...push, audit })))).toEqual({
      kind: "decoded",
      value: { ...push, audit },
    });
    const ack = { identity, accepted: 1, ignored: 0, rejected: [], verified: null, aside: 0, audit };
    expect(readApplied(overTheWire(encodeApplied(ack)))).toEqual(ack);
  });

  it.each([
    ["a text", "audit"],
    ["records without number", { heads: [], records: [{}], more: false }],
    ["heads of no site", { heads: [{ chain: uuid(5), site: "?" }], records: [], more: false }],
  ])("but what tells of an audit by %s, which is passed over", (_, value) => {
    const read = decodePush({ ...fieldsOf(textOf(push)), audit: value });
    expect(read).toEqual({ kind: "decoded", value: { ...push, audit: undefined } });
    const ack = { identity, accepted: 1, ignored: 0, rejected: [], verified: null, aside: 0 };
    const body = { ...encodeApplied(ack), audit: value };
    expect(readApplied(overTheWire(body))).toEqual({ ...ack, audit: undefined });
  });

  it("of a hello and its answer", () => {
    const hello = { identity, publicUrl: "https://zurich.example" };
    expect(decodeHello(fieldsOf(encodeHello(hello)))).toEqual({ kind: "decoded", value: hello });
    for (const verifiedAt of [null, 1_763_000_000_123]) {
      const body = overTheWire(encodeHelloReply(identity, { timeline, verifiedAt }));
      expect(readHelloReply(body)).toEqual({ timeline, verifiedAt });
      expect(readIdentity(body)).toEqual(identity);
    }
  });

  it("of locating a common point", () => {
    const locate = { identity, points: [point(7), point(3)] };
    expect(decodeLocate(fieldsOf(encodeLocate(locate)))).toEqual({ kind: "decoded", value: locate });
    for (const common of [null, point(3)]) {
      expect(readLocateReply(overTheWire(encodeLocateReply(identity, { timeline, common })))).toEqual({
        timeline,
        common,
      });
    }
  });

  it.each<GrantMessage>([
    { action: "request" },
    { action: "declined", grantId: grant.id },
    { action: "revoke", grantId: grant.id },
    { action: "take", grant },
  ])("of the message about a grant: $action", (message) => {
    const request = { identity, message };
    expect(decodeGrantRequest(fieldsOf(encodeGrantRequest(request)))).toEqual({
      kind: "decoded",
      value: request,
    });
  });

  it("of the answers about a grant", () => {
    for (const result of [
      { grant, answer: null },
      { grant: null, answer: "declined" as const },
    ]) {
      expect(readGrantReply(overTheWire(encodeGrantReply(identity, result)))).toEqual(result);
    }
  });

  it.each<RepairStep>([
    { step: "recount" },
    { step: "list", buckets: [0, 255], after: { bucket: 255, key: entryKey } },
    { step: "fetch", keys: [entryKey, strandedKey] },
    { step: "apply", rows: [live, gone], remove: [strandedKey] },
  ])("of the repair's step $step", (step) => {
    const request = { ...step, from: identity, at: point(7) };
    expect(decodeRepair(fieldsOf(encodeRepair(request)))).toEqual({ kind: "decoded", value: request });
  });

  it.each<RepairReply>([
    { step: "recount", buckets: new Uint8Array(8_192).fill(5), damaged: [3], rows: 12 },
    {
      step: "list",
      rows: [{ key: entryKey, position: live.position, hash: live.hash, isIntact: false }],
      next: { bucket: 3, key: entryKey },
    },
    { step: "fetch", rows: [live, gone] },
    { step: "apply", replaced: 1, removed: 2, refused: 3 },
  ])("of the answer to the repair's step $step", (reply) => {
    const body = overTheWire(encodeRepairReply(identity, reply));
    expect(readRepairReply(body)).toEqual(reply);
    expect(readIdentity(body)).toEqual(identity);
  });

  it.each<AsideStep>([
    { step: "list", limit: 100 },
    { step: "settle", struck: [uuid(5) as StrandedId], taken: [] },
  ])("of collecting what is put aside: $step", (step) => {
    expect(decodeAside(fieldsOf(encodeAside({ identity, step })))).toEqual({
      kind: "decoded",
      value: { identity, step },
    });
  });

  it("of rows put aside", () => {
    const row = {
      ...live,
      id: uuid(6) as StrandedId,
      fork: { epoch: 1, seq: 4 },
      site: zurich,
      at: 1_763_000_000_123,
    };
    const reply = { rows: [row, { ...row, ...gone }], waiting: 9 };
    expect(readAsideReply(overTheWire(encodeAsideReply(identity, reply)))).toEqual(reply);
  });
});

it("a push of many rows is the same text, made in slices of 200", () => {
  const rows = Array.from({ length: 1_001 }, (_, seq) => ({
    kind: "row" as const,
    row: { ...live, position: { epoch: 2, seq } },
  }));
  const slices = [...encodePush({ ...push, rows })];
  expect(slices.length).toBe(6);
  expect(decodePush(fieldsOf(Buffer.concat(slices).toString()))).toEqual({
    kind: "decoded",
    value: { ...push, rows },
  });
  const few = { ...push, rows: rows.slice(0, 200) };
  expect([...encodePush(few)].length).toBe(1);
  expect(decodePush(fieldsOf(textOf(few)))).toEqual({ kind: "decoded", value: few });
  expect(fieldsOf(textOf({ ...push, rows: [] }))["rows"]).toEqual([]);
});

describe("a frame", () => {
  it("of a peer one protocol newer is read where it has what is needed, whatever else it has", () => {
    const newer = { ...fieldsOf(textOf({ ...push, protocol: 2 })), colour: "red" };
    expect(decodePush(newer)).toEqual({ kind: "decoded", value: { ...push, protocol: 2 } });
    expect(decodePush({ protocol: 2, colour: "red" })).toEqual({ kind: "unsupported" });
    const step = {
      ...fieldsOf(encodeRepair({ step: "recount", from: identity, at: point(7) })),
      colour: "red",
    };
    expect(decodeRepair(step)).toMatchObject({ kind: "decoded" });
  });

  it("names what is missing or malformed in it by path", () => {
    const paths = (body: Fields, change: Fields) => {
      const decoded = decodePush({ ...body, ...change });
      return decoded.kind === "malformed" ? decoded.paths : decoded.kind;
    };
    const body = fieldsOf(textOf(push));
    expect(paths(body, { points: undefined })).toEqual(["points"]);
    expect(paths(body, { points: [["1:5", "ff"]] })).toEqual(["points.0"]);
    expect(paths(body, { except: ["entry/x/y"] })).toEqual(["except.0"]);
    expect(paths(body, { digest: undefined, through: "1" })).toEqual(["through", "digest"]);
    expect(paths(body, { rows: [{}] })).toEqual(["rows.0"]);
  });

  it("that names an exception of a kind unknown here leaves it out: this site holds no such row", () => {
    const body = {
      ...fieldsOf(textOf(push)),
      except: [`colour/${uuid(1)}/${uuid(2)}`, `vault/${uuid(1)}`],
    };
    expect(decodePush(body)).toMatchObject({ value: { except: [{ kind: "vault", vaultId }] } });
  });

  it("of a repair is malformed as a whole where a row or key cannot be read", () => {
    const apply = fieldsOf(
      encodeRepair({ step: "apply", rows: [live], remove: [], from: identity, at: point(7) }),
    );
    const [row] = apply["rows"] as [object];
    expect(decodeRepair({ ...apply, rows: [{ ...row, hash: "1" }] })).toEqual({
      kind: "malformed",
      paths: ["rows.0"],
    });
    expect(decodeRepair({ ...apply, remove: ["vault/1"] })).toEqual({
      kind: "malformed",
      paths: ["remove.0"],
    });
    expect(decodeRepair({ ...apply, step: "burn" })).toEqual({ kind: "malformed", paths: ["step"] });
  });

  it("of an answer that makes no sense is none", () => {
    const recount = { step: "recount", buckets: "AAAA", damaged: [], rows: 1 };
    for (const body of [undefined, null, "", [], {}, recount]) expect(readRepairReply(body)).toBeUndefined();
    for (const body of [undefined, { rows: [] }, { rows: [{}], waiting: 1 }])
      expect(readAsideReply(body)).toBeUndefined();
    for (const body of [undefined, { code: "no_such" }, { code: 3 }])
      expect(readRefusal(body)).toBeUndefined();
  });
});

it("a key's text is read as what it was written of, and nothing else", () => {
  expect(parseKey(`stranded/${uuid(1)}/${uuid(3)}`)).toEqual(strandedKey);
  for (const text of [
    "vault/1",
    `vault/${uuid(1)}/${uuid(2)}`,
    `entry/${uuid(1)}`,
    `entry/${uuid(1)}/${uuid(2)}/x`,
  ]) {
    expect(parseKey(text)).toBeNull();
  }
  expect(parseKey(`colour/${uuid(1)}/${uuid(2)}`)).toBeUndefined();
  expect(parseKey("")).toBeUndefined();
});

it("a body is base64 with its padding, or the row is refused alone", () => {
  const raw = fieldsOf(textOf(push))["rows"] as [Fields, Fields];
  const rowOf = (change: Fields) => readPushedRow({ ...raw[0], ...change });
  expect(rowOf({ body: "" })).toMatchObject({ row: { body: new Uint8Array() } });
  expect(rowOf({ body: "AQID" })).toMatchObject({ row: { body: Uint8Array.of(1, 2, 3) } });
  for (const body of ["AQI", "AQ==AQ==", "A?ID", "AQ D", "A===", "====", 3, null]) {
    expect(rowOf({ body })).toMatchObject({ kind: "unreadable", code: "row_malformed" });
  }
  for (const change of [{ deleted: true }, { deleted: 0 }, { hash: "ff" }]) {
    expect(rowOf(change)).toMatchObject({ kind: "unreadable", code: "row_malformed" });
  }
  const large = Buffer.alloc(1024 * 1024 + 1).toString("base64");
  expect(rowOf({ body: large })).toMatchObject({ kind: "unreadable", code: "row_too_large" });
  // It keeps another of the largest size.
  const stranded = { kind: "stranded", key: { vault_id: uuid(1), stranded_id: uuid(3) } };
  expect(rowOf({ ...stranded, body: large })).toMatchObject({ kind: "row" });
});
