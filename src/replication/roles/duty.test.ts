import { expect, test } from "vitest";
import type { SiteName } from "../../core/ids.ts";
import { origin } from "../../core/position.ts";
import type { Site } from "../../core/store/site.ts";
import { dutyOf, isSameStanding, standingOf } from "./duty.ts";

const one = { number: 1, id: "a" };
const two = { number: 2, id: "b" };

function siteWith(changes: Partial<Site>): Site {
  return {
    site: "calgary" as SiteName,
    realm: null,
    role: "primary",
    fenced: null,
    epoch: one,
    epochSeen: one,
    head: origin,
    primary: null,
    verified: null,
    isComplete: true,
    grant: null,
    ...changes,
  };
}

test.each([
  [{ role: "backup" }, "follow"],
  [{ role: "backup", epochSeen: two }, "follow"],
  [{}, "ship"],
  [{ fenced: "promotion_granted" }, "ship"],
  [{ fenced: "promotion_granted", epochSeen: two }, "await_answer"],
  [{ fenced: "primary_behind" }, "rest"],
  [{ fenced: "primary_superseded", epochSeen: two }, "rest"],
] as const)("a site that is %j has the duty %s", (changes, duty) => {
  expect(dutyOf(siteWith(changes))).toBe(duty);
});

test("a backup stands where it stood whoever pushes; a primary's next reign is another standing", () => {
  const follow = standingOf(siteWith({ role: "backup" }));
  expect(isSameStanding(follow, standingOf(siteWith({ role: "backup", epoch: two })))).toBe(true);
  const ship = standingOf(siteWith({}));
  expect(isSameStanding(ship, standingOf(siteWith({ epoch: two, epochSeen: two })))).toBe(false);
  expect(isSameStanding(ship, standingOf(siteWith({ fenced: "promotion_granted" })))).toBe(false);
  expect(isSameStanding(null, ship)).toBe(false);
});
