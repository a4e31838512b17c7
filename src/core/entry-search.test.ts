import { describe, expect, it } from "vitest";
import type { Entry, EntryContent } from "./entry.ts";
import { type EntryFilter, passes, searchWords } from "./entry-search.ts";

const content: EntryContent = {
  type: "login",
  title: "Zürcher Straßenbahn",
  urls: ["https://Fahrplan.example/abo"],
  tags: ["Öffentlich", "work"],
  favourite: true,
  fields: [{ label: "Kundennummer", value: "hunter2", kind: "concealed" }],
  notes: "dragon",
};
const entry: Entry = { content, version: 1, createdAt: 1, updatedAt: 1, trashedAt: null };
const all: EntryFilter = {
  type: undefined,
  tag: undefined,
  favourite: undefined,
  isTrash: false,
  words: [],
};
const finds = (query: string, title = content.title) =>
  passes({ ...entry, content: { ...content, title } }, { ...all, words: searchWords(query) });

describe("a search", () => {
  it.each([
    "zürcher",
    "ZURCHER",
    "zu\u0308rcher",
    "strassenbahn",
    "STRASSEN",
    "fahrplan.example/ABO",
    "offentlich",
    "kundennummer",
    " kunden \t zur work ",
    "",
    "  ",
  ])("finds by %j: title, URLs, tags and labels, whatever case and accents", (query) => {
    expect(finds(query)).toBe(true);
  });

  it.each([
    "hunter2",
    "dragon",
    "concealed",
    "login",
    "kunden dragon",
    "zürcher\u0301x",
    "straßenbahn fahrplan q",
  ])("does not find by %j: every word must be there, and values and notes are not looked at", (query) => {
    expect(finds(query)).toBe(false);
  });

  it.each([
    ["ＦＵＬＬ", "full width"],
    ["ΣΊΣΥΦΟΣ", "Σίσυφος"],
    ["φος", "ΣΊΣΥΦΟΣ"],
    ["istanbul", "İSTANBUL"],
    ["ﬁle", "FILE"],
    ["한국", "한국어"],
    ["%", "100 %"],
    [".*", "a.*b"],
  ])("for %j finds %j", (query, title) => {
    expect(finds(query, title)).toBe(true);
  });

  it("joins no two texts to a match", () => {
    expect(finds("strassenbahnhttps")).toBe(false);
    expect(finds("öffentlichwork")).toBe(false);
  });
});

it.each<[Partial<EntryFilter>, boolean]>([
  [{}, true],
  [{ type: "login" }, true],
  [{ type: "note" }, false],
  [{ tag: "work" }, true],
  [{ tag: "Work" }, false],
  [{ favourite: true }, true],
  [{ favourite: false }, false],
  [{ isTrash: true }, false],
  [{ type: "login", tag: "work", favourite: true, words: ["bahn"] }, true],
  [{ type: "note", words: ["bahn"] }, false],
])("a filter of %j lets the entry pass: %j", (filter, expected) => {
  expect(passes(entry, { ...all, ...filter })).toBe(expected);
});

it("what is in the trash is found there and nowhere else", () => {
  const trashed = { ...entry, trashedAt: 5 };
  expect(passes(trashed, { ...all, isTrash: true, words: ["bahn"] })).toBe(true);
  expect(passes(trashed, { ...all, words: ["bahn"] })).toBe(false);
});
