import { expect, it } from "vitest";
import type { SiteName } from "../core/ids.ts";
import { peerCredential } from "./peer-credential.ts";
import { parseToken, type Token } from "./token.ts";

const calgary = "calgary" as SiteName;
const zurich = "zurich" as SiteName;
const pair: Token = {
  kind: "peer",
  id: Uint8Array.from({ length: 16 }, (_, index) => index),
  secret: Uint8Array.from({ length: 32 }, (_, index) => 255 - index),
};

it("is derived as the design says, each direction its own", () => {
  // Worked out by an independent implementation of RFC 5869 and base64url.
  expect(peerCredential(pair, calgary, zurich)).toBe(
    "dms_11633b92a75eb81c1eba0f483c464805_RO28dDelWqf3j8SuUwBHlpAVgm8SoLLFdXFplXrJkPIUx8Z1W",
  );
  expect(peerCredential(pair, zurich, calgary)).toBe(
    "dms_53f17107975c8c4f9db59368b400d846_6dCUKS-Qb0BnHbeqbUx91EBDQZ-00taoz2JTkEgA3VIy2X5RH",
  );
});

it("is a token of the kind that peers send", () => {
  expect(parseToken(peerCredential(pair, calgary, zurich))?.kind).toBe("peer");
});

it("keeps names apart that are alike when written one after the other", () => {
  expect(peerCredential(pair, "ab" as SiteName, "c" as SiteName)).not.toBe(
    peerCredential(pair, "a" as SiteName, "bc" as SiteName),
  );
});
