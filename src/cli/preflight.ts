import { cell, type Fields, isFields, textsIn } from "./fields.ts";

/** What a site says before it is promoted, as lines for a person: what is known, and what nobody can know from here. */
export function preflightLines(preflight: Fields): readonly string[] {
  const known = isFields(preflight.known) ? Object.entries(preflight.known) : [];
  const widest = Math.max(0, ...known.map(([label]) => label.length));
  const unknown = textsIn(preflight, "unknown");
  return [
    headline(preflight),
    ...known.map(([label, value]) => `  ${label.padEnd(widest)}  ${cell(value)}`),
    ...(unknown.length === 0
      ? []
      : ["What cannot be known from here:", ...unknown.map((text) => `  - ${text}`)]),
  ];
}

const kinds: Readonly<Record<string, string>> = {
  planned: "planned, so that nothing is lost",
  forced: "by force: what only the old primary has is set aside until it comes home",
  take_back: "taking back what was promised to another site",
  nothing: "nothing is to be done",
};

function headline({ kind, site, epoch }: Fields): string {
  const name = cell(kind);
  return `Promotion of ${cell(site)}, now of epoch ${cell(epoch)}: ${kinds[name] ?? name}`;
}
