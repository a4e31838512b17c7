import {
  type Document,
  type ErrorCode,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from "yaml";

/** Keys and indexes from the top of the file down. */
export type Path = readonly PropertyKey[];

/** A mistake at a line of the file (from 1), before it has a file's name and a path as text. */
export type Finding = { readonly path: Path; readonly line: number; readonly message: string };

/** A YAML file as plain values, with a way back from any path to its line. */
export type YamlSource = {
  readonly value: unknown;
  /** The line of what stands at the path, or of the nearest thing above it. */
  readonly lineOf: (path: Path) => number;
};

/**
 * What is wrong and what would be right, for each thing the parser can object to. Its own words are not used: they quote the
 * file, which may hold a secret.
 */
const faults: Record<ErrorCode, string> = {
  ALIAS_PROPS: "an alias takes no anchor or tag; write the value out",
  BAD_ALIAS: "an alias has no name; put texts that begin with * in quotes",
  BAD_COLLECTION_TYPE: "the tag does not fit what follows; leave tags away",
  BAD_DIRECTIVE: "a line that begins with % is a directive and is not needed; remove it",
  BAD_DQ_ESCAPE: "a backslash sequence in double quotes is none of YAML's; use single quotes",
  BAD_INDENT:
    "the indentation does not fit the lines around it; indent what belongs together by the same spaces",
  BAD_PROP_ORDER: "an anchor or tag stands in the wrong place; leave it away",
  BAD_SCALAR_START: "a text may not begin with this character; put it in quotes",
  BLOCK_AS_IMPLICIT_KEY:
    "a key stands where its value is expected; begin a new line, indented, or put the text in quotes",
  BLOCK_IN_FLOW: "an indented block may not stand inside { } or [ ]",
  DUPLICATE_KEY: "the key is here twice; keep one",
  IMPOSSIBLE: "this is not YAML",
  KEY_OVER_1024_CHARS: "a key is far too long; a colon or a quote is missing",
  MISSING_CHAR:
    "a character is missing here: a closing quote or bracket, a comma, or the space after a colon",
  MULTILINE_IMPLICIT_KEY: "a key goes over several lines; a colon is missing",
  MULTIPLE_ANCHORS: "two anchors stand on one value; leave them away",
  MULTIPLE_DOCS: "a second document begins here; keep one document in the file",
  MULTIPLE_TAGS: "two tags stand on one value; leave them away",
  NON_STRING_KEY: "a key must be a plain text",
  RESOURCE_EXHAUSTION: "this is nested too deeply",
  TAB_AS_INDENT: "a tab indents this line; use spaces",
  TAG_RESOLVE_FAILED: "a tag is unknown or does not fit its value; leave tags away",
  UNEXPECTED_TOKEN:
    "something stands here that does not fit what is before it; check brackets, commas and quotes",
};

/** Reads the text of one YAML document. Aliases are refused, so that no small file can become a huge value. */
export function parseYaml(text: string): YamlSource | { readonly findings: readonly Finding[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    logLevel: "error",
  });
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const findings: Finding[] = [...document.errors, ...document.warnings].map((fault) => ({
    path: [],
    line: lineAt(fault.pos[0]),
    message: faults[fault.code],
  }));
  findings.push(...findForbidden(document, lineAt));
  if (findings.length > 0) return { findings: onePerLine(findings) };
  const lineOf = (path: Path): number => lineAt(offsetOf(document.contents, path));
  return { value: document.toJS({ maxAliasCount: 0 }), lineOf };
}

/** One slip often draws several objections from the parser on its line; the first is the telling one. */
function onePerLine(findings: readonly Finding[]): Finding[] {
  const first = new Map<number, Finding>();
  for (const finding of findings) if (!first.has(finding.line)) first.set(finding.line, finding);
  return [...first.values()].toSorted((a, b) => a.line - b.line);
}

function findForbidden(document: Document, lineAt: (offset: number) => number): Finding[] {
  const findings: Finding[] = [];
  const forbid = (node: Node, message: string): void => {
    findings.push({ path: [], line: lineAt(node.range?.[0] ?? 0), message });
  };
  visit(document, {
    Alias: (_, node) => forbid(node, "aliases (*name) are not taken; write the value out"),
    Pair: (_, pair) => {
      if (!isNode(pair.key)) return;
      if (!isScalar(pair.key) || typeof pair.key.value !== "string") forbid(pair.key, faults.NON_STRING_KEY);
      else if (pair.key.value === "__proto__")
        forbid(pair.key, "__proto__ is no key of this file; remove it");
    },
  });
  return findings;
}

function offsetOf(contents: unknown, path: Path): number {
  let node = contents;
  let offset = 0;
  for (const step of path) {
    const [key, value] = childOf(node, step);
    if (!isNode(key) || isAlias(key)) break;
    offset = key.range?.[0] ?? offset;
    node = value;
  }
  return offset;
}

/** What bears a step's line, and where to go on from there. */
function childOf(node: unknown, step: PropertyKey): readonly [unknown, unknown] {
  if (isSeq(node)) {
    const item = node.items[Number(step)];
    return [item, item];
  }
  if (!isMap(node)) return [undefined, undefined];
  const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
  return [pair?.key, pair?.value];
}
