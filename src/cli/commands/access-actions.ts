import { type ConnectionOptions, withSite } from "../connection.ts";
import { cell, type Fields, objectsIn, textIn, textOr, textsIn } from "../fields.ts";
import { readPassphraseFile } from "../file-input.ts";
import { type NewFile, newSecretFile } from "../new-file.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { confirm } from "../prompt.ts";
import { usageRefusal } from "../report.ts";

type Options = ConnectionOptions & { readonly json?: boolean; readonly vault: string };

type AddOptions = Options & {
  readonly scope: string;
  readonly name?: string;
  readonly login?: string;
  /** RFC 3339. */
  readonly expires?: string;
  readonly tokenOut?: string;
  readonly passphraseFile?: string;
  readonly passphraseOut?: string;
};

export async function addAccess(options: AddOptions): Promise<void> {
  checkKind(options);
  const asked = await readAccess(options);
  const out = options.tokenOut ?? options.passphraseOut;
  await using file = await newSecretFile(out);
  const { body } = await withSite(options, (site) =>
    site.call({ method: "POST", path: accessPath(options), body: JSON.stringify(asked) }),
  );
  await printAdded(options, body, file);
}

/** One of the two kinds, and nothing that belongs to the other. */
function checkKind({ name, login, tokenOut, passphraseFile, passphraseOut }: AddOptions): void {
  if ((name === undefined) === (login === undefined)) {
    throw usageRefusal("an access is a machine's or a person's", "give --name or --login");
  }
  const hasPassphrase = (passphraseFile ?? passphraseOut) !== undefined;
  if (name !== undefined && hasPassphrase) {
    throw usageRefusal("a machine has a token and no passphrase", "use --token-out, or --login for a person");
  }
  if (login !== undefined && tokenOut !== undefined) {
    throw usageRefusal(
      "a person has a passphrase and no token",
      "use --passphrase-out, or --name for a machine",
    );
  }
  if (passphraseFile !== undefined && passphraseOut !== undefined) {
    throw usageRefusal("--passphrase-out is for a passphrase that is made", "leave out one of the two");
  }
}

async function readAccess({ name, login, scope, expires, passphraseFile }: AddOptions): Promise<Fields> {
  const rest = { scope, ...(expires !== undefined && { expires_at: expires }) };
  if (name !== undefined) return { kind: "machine", name, ...rest };
  if (passphraseFile === undefined) return { kind: "person", login, ...rest };
  const passphrase = await readPassphraseFile(passphraseFile);
  return { kind: "person", login, passphrase, ...rest };
}

async function printAdded(options: AddOptions, body: Fields, file: NewFile | undefined): Promise<void> {
  const { token, passphrase, replication: _, ...access } = body;
  const [label, secret] = typeof token === "string" ? ["token", token] : ["passphrase", passphrase];
  if (file !== undefined) await file.keep(textIn({ [label]: secret }, label));
  const out = options.tokenOut ?? options.passphraseOut;
  const shown = out === undefined ? { [label]: secret } : { [`${label}_file`]: out };
  if (options.json === true) return printJson(secret === undefined ? access : { ...access, ...shown });
  printLine(`access_id   ${textIn(body, "access_id")}`);
  printLine(`scope       ${textIn(body, "scope")}`);
  if (typeof body.expires_at === "string") printLine(`expires_at  ${body.expires_at}`);
  if (secret === undefined) return;
  printLine(`${label.padEnd(12)}${out === undefined ? cell(secret) : `in ${out}`}`);
  if (out === undefined) printNote(`Keep the ${label}: it is shown this once.`);
}

export async function listAccesses(options: Options): Promise<void> {
  await withSite(options, async (site) => {
    const { body } = await site.call({ method: "GET", path: accessPath(options) });
    if (options.json === true) return printJson(body);
    const rows = objectsIn(body, "accesses").map((access) => [
      cell(access.access_id),
      cell(access.kind),
      textOr(access, "login", cell(access.name)),
      cell(access.scope),
      cell(access.expires_at),
      cell(access.last_used_at),
      access.blocked === true ? "blocked" : cell(access.state),
    ]);
    await printTable(["ACCESS", "KIND", "NAME", "SCOPE", "EXPIRES", "LAST USED", "STATE"], rows);
  });
}

export async function revokeAccess(
  accessId: string,
  options: Options & { readonly keepKey?: boolean; readonly yes?: boolean },
): Promise<void> {
  await confirm(`Revoke the access ${accessId} for good?`, options.yes === true);
  await withSite(options, async (site) => {
    const query = options.keepKey === true ? "?keep_key=true" : "";
    const path = `${accessPath(options)}/${encodeURIComponent(accessId)}${query}`;
    const { body } = await site.call({ method: "DELETE", path });
    if (options.json === true) return printJson(body);
    const key = body.key_changed === true ? "the vault's key was changed" : "the vault's key is as it was";
    printLine(`Revoked ${accessId}; ${key}.`);
    for (const name of textsIn(body, "honoured_by")) {
      printNote(
        `${name} still takes it: it has not followed yet. dormouse access block on its machine is faster.`,
      );
    }
    const opens = textOr(body, "still_opens", "");
    if (opens !== "") printNote(opens);
  });
}

function accessPath({ vault }: Options): string {
  return `/api/vaults/${encodeURIComponent(vault)}/access`;
}
