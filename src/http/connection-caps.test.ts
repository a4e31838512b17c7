import { expect, it } from "vitest";
import { connectionCaps } from "./connection-caps.ts";

it.each([
  [Number.POSITIVE_INFINITY, { total: 1_000, perAddress: 128 }],
  [1_024, { total: 960, perAddress: 128 }],
  [200, { total: 136, perAddress: 68 }],
  [60, { total: 15, perAddress: 7 }],
  [8, { total: 4, perAddress: 2 }],
])(
  "with %d open files, clients get so many connections that the site keeps files for its own work",
  (files, caps) => {
    expect(connectionCaps(files)).toEqual(caps);
  },
);
