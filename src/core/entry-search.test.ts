import { describe, expect, it } from "vitest";
import type { EntryContent } from "./entry.ts";
import { holdsWords, searchWords } from "./entry-search.ts";

const content: EntryContent = {
  type: "login",
  title: "Zürcher Straßenbahn",
  urls: ["https://Fahrplan.example/abo"],
  tags: ["Öffentlich", "work"],
  favourite: true,
  fields: [{ label: "Kundennummer", value: "hunter2", kind: "concealed" }],
  notes: "dragon",
};
const finds = (query: string, title = content.title) => holdsWords(searchWords(query))({ ...content, title });

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
