import { makeCommunitySite } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { median, quantile } from "./support/statistics.ts";
import { printTable, showCount, showMs } from "./support/table.ts";

const credentials = { login: "anna", passphrase: "travesty divided aching glorify jasmine stomp" };
const loginsPerRun = 6;
const pauseMs = 2;

/**
 * What a login takes, and what it costs everybody else: while people log in, another client reads all the time, and the longest that
 * it waits is the longest that the site's one thread was held up.
 */
export async function login({ folder, runs }: Plan): Promise<void> {
  await using site = await makeCommunitySite(folder, "login", {});
  await site.start();
  const vault = await site.createVault();
  await using owner = new Client(site.files.url, vault.token);
  const access = JSON.stringify({ kind: "person", scope: "read", ...credentials });
  await owner.call("POST", `/api/vaults/${vault.vaultId}/access`, access);
  await using people = new Client(site.files.url, "", 2);
  const count = loginsPerRun * runs;
  await logIn(people);
  const rows = [
    await measure("nobody", owner, vault.path, async () => await pauseFor(1_000 * runs)),
    await measure("one after the other", owner, vault.path, async () => await logInOften(people, count)),
    await measure("two at once", owner, vault.path, async () => {
      const both = await Promise.all([logInOften(people, count / 2), logInOften(people, count / 2)]);
      return both.flat();
    }),
  ];
  printTable(
    `${showCount(count)} logins: Argon2id, 64 MiB, 3 passes, 4 lanes; another client reads meanwhile`,
    ["who logs in", "login", "slowest", "a read", "99 of 100", "slowest"],
    rows,
  );
}

async function logIn(people: Client): Promise<number> {
  const beganMs = instantMs();
  await people.call("POST", "/api/sessions", JSON.stringify(credentials));
  return instantMs() - beganMs;
}

async function logInOften(people: Client, count: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) times.push(await logIn(people));
  return times;
}

async function pauseFor(ms: number): Promise<readonly number[]> {
  await pause(ms);
  return [];
}

async function measure(
  title: string,
  reader: Client,
  path: string,
  work: () => Promise<readonly number[]>,
): Promise<readonly string[]> {
  const reads: number[] = [];
  let isOver = false;
  const reading = (async () => {
    while (!isOver) {
      const beganMs = instantMs();
      await reader.call("GET", path);
      reads.push(instantMs() - beganMs);
      await pause(pauseMs);
    }
  })();
  const logins = await work().finally(() => {
    isOver = true;
  });
  await reading;
  const [usual, slowest] =
    logins.length === 0 ? ["-", "-"] : [showMs(median(logins)), showMs(Math.max(...logins))];
  return [
    title,
    usual,
    slowest,
    showMs(median(reads)),
    showMs(quantile(reads, 0.99)),
    showMs(Math.max(...reads)),
  ];
}
