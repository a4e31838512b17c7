import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../core/bytes.ts";
import { linkKeyPair, linkSuite, publicKeyOf } from "./key-link.ts";

type Vector = {
  readonly mode: number;
  readonly info: string;
  readonly ikmR: string;
  readonly ikmE: string;
  readonly pkRm: string;
  readonly enc: string;
  readonly psk?: string;
  readonly psk_id?: string;
  readonly encryptions: readonly { readonly aad: string; readonly pt: string; readonly ct: string }[];
};

const file = readFileSync(new URL("../../test/vectors/hpke.json", import.meta.url), "utf8");
const { vectors } = JSON.parse(file) as { readonly vectors: readonly Vector[] };

/** What both sides of a vector know. */
function sharedOf({ info, psk, psk_id: id }: Vector) {
  const known = psk === undefined || id === undefined ? undefined : { key: fromHex(psk), id: fromHex(id) };
  return { info: fromHex(info), ...(known && { psk: known }) };
}

describe("what links are sealed with", () => {
  it("is the suite 0x0020, 0x0001, 0x0002, of which there are vectors with a pre-shared key and without", () => {
    expect([linkSuite.kem.id, linkSuite.kdf.id, linkSuite.aead.id]).toEqual([0x20, 1, 2]);
    expect(vectors.map(({ mode }) => mode)).toEqual([0, 1]);
  });

  it.each(vectors)("derives the recipient's keys as RFC 9180 does: mode $mode", async ({ ikmR, pkRm }) => {
    expect(toHex(await publicKeyOf(await linkKeyPair(fromHex(ikmR))))).toBe(pkRm);
  });

  it.each(vectors)("seals as RFC 9180 does: mode $mode", async (vector) => {
    const sender = await linkSuite.createSenderContext({
      ...sharedOf(vector),
      recipientPublicKey: await linkSuite.kem.deserializePublicKey(fromHex(vector.pkRm)),
      ekm: fromHex(vector.ikmE),
    });
    expect(toHex(new Uint8Array(sender.enc))).toBe(vector.enc);
    for (const { aad, pt, ct } of vector.encryptions) {
      expect(toHex(new Uint8Array(await sender.seal(fromHex(pt), fromHex(aad))))).toBe(ct);
    }
  });

  it.each(vectors)("opens as RFC 9180 does: mode $mode", async (vector) => {
    const recipient = await linkSuite.createRecipientContext({
      ...sharedOf(vector),
      recipientKey: await linkKeyPair(fromHex(vector.ikmR)),
      enc: fromHex(vector.enc),
    });
    for (const { aad, pt, ct } of vector.encryptions) {
      expect(toHex(new Uint8Array(await recipient.open(fromHex(ct), fromHex(aad))))).toBe(pt);
    }
  });
});
