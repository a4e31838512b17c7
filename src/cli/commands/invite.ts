import { AdminClient } from "../admin-client.ts";
import type { AdminOptions } from "../config-option.ts";
import { cell, type Fields, isFields } from "../fields.ts";
import { printLine, printNote } from "../output.ts";
import { confirm } from "../prompt.ts";
import { usageRefusal } from "../report.ts";

type Options = AdminOptions & { readonly yes?: boolean; readonly replace?: boolean };

export const inviteHelp = `
The code is good for 15 minutes and for one site; it ends with this command, and after five wrong proofs. When a site has
proved that it has the code, its name and address are shown, and nothing is changed before you have answered. One that has the
name of a peer you have already would take its place: both are shown, and --yes alone declines it.
With --json, prints one line of JSON for the code and one for the site that has joined.

Examples:
  dormouse peer invite --config calgary.yaml
  dormouse peer invite --config calgary.yaml --yes --json
`;

export async function invite(options: Options): Promise<void> {
  if (options.yes !== true && !process.stdin.isTTY) {
    throw usageRefusal(
      "nobody can be asked whether the site may join",
      "give --yes, or run it on a terminal",
    );
  }
  const admin = await AdminClient.of(options);
  let id = "";
  const onProgress = (event: Fields): void => {
    if (typeof event.invite_id === "string") id = event.invite_id;
    if (typeof event.code === "string") printCode(options, event);
    if (typeof event.failures === "number")
      printNote(`A proof from ${cell(event.address)} was wrong (${event.failures} of 5).`);
    if (isFields(event.refused)) printNote(refusedLine(event.refused));
    if (isFields(event.joiner)) void answer(admin, options, id, event.joiner);
  };
  try {
    const joined = await admin.call({ command: "invite", onProgress });
    if (options.json === true) printLine(JSON.stringify(joined));
    else
      printLine(`Paired with ${cell(joined.site)} (${cell(joined.url)}). It is filled as soon as it runs.`);
    noteCertificates(joined);
  } catch (error) {
    // The question may still be open.
    process.stdin.destroy();
    throw error;
  }
}

function printCode(options: Options, { code, url, ends_at }: Fields): void {
  if (options.json === true) return printLine(JSON.stringify({ code, url, ends_at }));
  printLine(cell(code));
  printNote(
    `Give this code to "dormouse peer join" on the new backup before ${cell(ends_at)}. Waiting for it …`,
  );
}

function refusedLine({ site, url, address, reason }: Fields): string {
  return `${cell(site)} (${cell(url)}, from ${cell(address)}) cannot be a peer of this site: ${cell(reason)}`;
}

/** What goes wrong here is the end of the invitation too, and is told there. */
async function answer(admin: AdminClient, options: Options, inviteId: string, joiner: Fields): Promise<void> {
  const body = { invite_id: inviteId, ...(await decide(options, joiner)) };
  await admin.call({ command: "invite-answer", body }).catch(() => undefined);
}

async function decide(options: Options, joiner: Fields): Promise<{ accept: boolean; replace: boolean }> {
  const { site, replaces } = joiner;
  const replace = isFields(replaces);
  if (isFields(replaces)) for (const line of replacementLines(joiner, replaces)) printNote(line);
  if (replace && options.yes === true && options.replace !== true) {
    printNote("It is declined: --yes alone lets no known peer be replaced. If that is meant, add --replace.");
    return { accept: false, replace };
  }
  const who = `${cell(site)} (${cell(joiner.url)}), asking from ${cell(joiner.address)}, has the code.`;
  const what = replace ? `Have it take the place of the known ${cell(site)}?` : "Pair with it?";
  const accept = await confirm(`${who} ${what}`, options.yes === true).then(
    () => true,
    () => false,
  );
  return { accept, replace };
}

/** The known peer against the site that joins, also where a script answers: its output is what is left of it. */
function replacementLines({ site, url, ...joiner }: Fields, known: Fields): readonly string[] {
  const pin = joiner.certificate === "pinned" ? joiner.fingerprint : null;
  const line = (what: string, before: string, after: string): string =>
    `  ${what}: ${before}${before === after ? ", as before" : ` → ${after}`}`;
  return [
    `${cell(site)} is a peer already, and its secret would be another:`,
    line("URL", cell(known.url), cell(url)),
    line("pinned certificate", pinText(known.fingerprint), pinText(pin)),
  ];
}

function pinText(fingerprint: unknown): string {
  return typeof fingerprint === "string" ? fingerprint : "none";
}

/** Says on both sides how each checks the other's certificate from now on: whoever renews one has to know. */
export function noteCertificates({ site, certificate, own_certificate }: Fields): void {
  const name = cell(site);
  if (certificate === "pinned")
    printNote(`The certificate of ${name} is pinned: this site must be told when it is renewed.`);
  if (certificate === "verified")
    printNote(`The certificate of ${name} is of a known authority: it is not pinned, and may be renewed.`);
  if (own_certificate === "pinned")
    printNote(`${name} has pinned this site's certificate: tell it when you renew that.`);
  if (own_certificate === "verified")
    printNote(`${name} has not pinned this site's certificate, which is of an authority known there.`);
}
