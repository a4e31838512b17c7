/** Examples under each `entry` command's help. */
export const entryExamples = {
  add: `
Secret values are prompted for without echo, or read from stdin or a file; never from the command line.

Examples:
  dormouse entry add --vault 0199… --title "Mail" --field username=demo --secret password
  pass-generator | dormouse entry add --vault 0199… --title "Database" --secret password
  dormouse entry add --vault 0199… --type ssh_key --title deploy --secret-file private-key=./id_ed25519
  dormouse entry add --vault 0199… --json-file entry.json
`,
  get: `
Examples:
  dormouse entry get 0199… --vault 0199…
  dormouse entry get 0199… --vault 0199… --field password
  dormouse entry get 0199… --vault 0199… --json --reveal > entry.json
`,
  list: `
Examples:
  dormouse entry list --vault 0199… --tag production
  dormouse entry list --vault 0199… --all --json
  dormouse entry list --vault 0199… --trash
  dormouse entry list --vault 0199… --favourite
`,
  edit: `
Only what is named changes; --website and --tag replace all there are. The change is refused (exit status 7) when somebody
else changed the entry in between.

Examples:
  dormouse entry edit 0199… --vault 0199… --secret password
  dormouse entry edit 0199… --vault 0199… --title "Old mail" --remove-field pin
  dormouse entry edit 0199… --vault 0199… --json-file entry.json
`,
  rm: `
Examples:
  dormouse entry rm 0199… --vault 0199…
  dormouse entry rm 0199… --vault 0199… --purge --yes
`,
  restore: `
Examples:
  dormouse entry list --vault 0199… --trash
  dormouse entry restore 0199… --vault 0199…
`,
  search: `
Every word must stand in the title, a URL, a tag or a field's label, whatever case and accents. Values and notes are not
searched. Others on this machine can see arguments while a command runs: - reads the words from stdin.

Examples:
  dormouse entry search mail zurich --vault 0199…
  dormouse entry search bank --vault 0199… --favourite --json
  dormouse entry search - --vault 0199… < words.txt
`,
  totp: `
Examples:
  dormouse entry totp 0199… --vault 0199…
  dormouse entry totp 0199… --vault 0199… --field otp
`,
  versions: `
Examples:
  dormouse entry versions 0199… --vault 0199…
  dormouse entry versions 0199… --vault 0199… --all --json
`,
  show: `
Examples:
  dormouse entry show 0199… --version 3 --vault 0199…
  dormouse entry show 0199… --version 3 --vault 0199… --field password
`,
  "restore-version": `
What the entry is now becomes an earlier version itself, so that nothing is lost.

Examples:
  dormouse entry versions 0199… --vault 0199…
  dormouse entry restore-version 0199… 3 --vault 0199…
`,
  purge: `
With --wait the exit status is 0 once every backup has proved that it holds nothing of the entry any more, and 7 where the time
is up before; it is purged here all the same.

Examples:
  dormouse entry purge 0199… --vault 0199… --yes
  dormouse entry purge 0199… --vault 0199… --wait 30
`,
} as const;
