import { expect, it } from "vitest";
import { SeededRandom } from "../../test/support/ports.ts";
import { toHex } from "../core/bytes.ts";
import type { AccessId } from "../core/ids.ts";
import { AccessSecret } from "./access-secret.ts";
import { openSessionSecret, sealSessionSecret } from "./session-secret.ts";
import { newToken } from "./token.ts";

const random = new SeededRandom(1);
const accessId = "7dd9c1b9-79ca-80b0-9364-388fe672c8e6" as AccessId;
const secret = random.bytes(32);
const session = newToken("session", random);

it("a session's token opens the person's secret, for the access that is asked for", () => {
  using opened = openSessionSecret(session, sealSessionSecret(session, secret), accessId);
  using expected = AccessSecret.of(accessId, secret);
  expect(opened?.accessId).toBe(accessId);
  expect(opened?.verifier()).toEqual(expected.verifier());
});

it("what a session keeps opens with no other secret, and for no other session", () => {
  const sealed = sealSessionSecret(session, secret);
  expect(toHex(sealed)).not.toContain(toHex(secret));
  for (const other of [
    { ...session, secret: random.bytes(32) },
    { ...session, id: random.bytes(16) },
  ]) {
    expect(openSessionSecret(other, sealed, accessId)).toBeUndefined();
  }
});

it("any flipped bit is refused", () => {
  const sealed = sealSessionSecret(session, secret);
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const flipped = sealed.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(openSessionSecret(session, flipped, accessId)).toBeUndefined();
  }
});
