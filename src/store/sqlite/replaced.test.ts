import { copyFileSync, renameSync, rmSync } from "node:fs";
import { expect, test } from "vitest";
import { newVault, put, set } from "../../../test/contract/store-harness.ts";
import { sqliteSite } from "../../../test/support/sqlite-site.ts";
import type { Refusal } from "../../core/errors.ts";

const { init, open } = sqliteSite();

const replacements: readonly (readonly [string, (path: string) => void])[] = [
  [
    "a copy takes the place of the database",
    (path) => {
      copyFileSync(path, `${path}.copy`);
      renameSync(`${path}.copy`, path);
    },
  ],
  ["the database is deleted", (path) => rmSync(path)],
];

test.each(replacements)(
  "where %s, the next write ends the site by name, and nothing is shown any more",
  async (_, replace) => {
    const path = init();
    const lost: Refusal[] = [];
    const { store } = open(path, { onLost: (why) => lost.push(why) });
    const key = newVault();
    await set(store, key, "a vault");
    replace(path);
    for (let write = 0; write < 2; write += 1) {
      await expect(store.transact((tx) => tx.rows.write(put(newVault(), "lost")))).rejects.toMatchObject({
        code: "data_replaced",
      });
    }
    await expect(store.read((r) => r.rows.row(key))).rejects.toMatchObject({ code: "data_replaced" });
    expect(lost.map(({ code }) => code)).toEqual(["data_replaced"]);
  },
);
