import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { exists, type Pair } from "./pair-files.ts";

const launcher = fileURLToPath(new URL("../../bin/dormouse", import.meta.url));

/** What to type to try the pair. Every line works when it is pasted into a shell in the current folder. */
export async function guideText(folder: string, { calgary, zurich }: Pair): Promise<string> {
  const command = shellPath(launcher);
  const name = await freeName(folder);
  const token = shellPath(resolve(folder, `${name}.token`));
  const operator = shellPath(calgary.operatorTokenPath);
  const [here, there] = [calgary.config.publicUrl, zurich.config.publicUrl];
  const head = `
The pair runs: calgary (primary) at ${here}, zurich (backup) at ${there}.`;
  if (!(await exists(calgary.operatorTokenPath))) {
    // Shown once, when the site was made: it cannot be made up again.
    return `${head}\nThe operator token of calgary is not in ${operator}; vaults can be made with it alone.\nCtrl-C stops both.\n`;
  }
  return `${head}
Try it from another terminal in this folder:

  # a vault on calgary; its owner token goes into a file
  VAULT=$(${command} vault create ${name} --id-only --token-out ${token} --url ${here} --token-file ${operator})

  # an entry on calgary, then read it from zurich with the same token
  printf 'correct horse\\n' | ${command} entry add --vault $VAULT --title Mail --field username=demo --secret password --url ${here} --token-file ${token}
  ${command} entry list --vault $VAULT --url ${there} --token-file ${token}
  curl -s -H "Authorization: Bearer $(cat ${token})" ${there}/api/vaults/$VAULT/entries; echo

  # how replication stands
  ${command} status --url ${here} --token-file ${operator}

Ctrl-C stops both.
`;
}

/** The first of demo, demo-2, … whose token file is not there from an earlier try. */
async function freeName(folder: string): Promise<string> {
  for (let count = 1; ; count += 1) {
    const name = count === 1 ? "demo" : `demo-${count}`;
    if (!(await exists(resolve(folder, `${name}.token`)))) return name;
  }
}

/** A path as short as it can be from here, quoted where a shell would take it apart. */
function shellPath(path: string): string {
  const short = relative("", path);
  const usable = short.startsWith("..") ? path : `./${short}`;
  return /^[\w./-]+$/.test(usable) ? usable : `'${usable.replaceAll("'", `'\\''`)}'`;
}
