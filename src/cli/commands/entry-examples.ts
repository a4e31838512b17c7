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
} as const;
