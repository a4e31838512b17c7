import { expect, it } from "vitest";
import { fromUtf8 } from "./bytes.ts";
import {
  contentBytes,
  decodeEntry,
  encodeEntry,
  type Entry,
  type EntryContent,
  sameContent,
} from "./entry.ts";

const content: EntryContent = {
  type: "login",
  title: "Zürich",
  urls: ["https://zurich.example"],
  tags: ["bank"],
  favourite: true,
  fields: [{ label: "password", value: "s3cret", kind: "concealed" }],
  notes: "",
};
const entry: Entry = { content, version: 3, createdAt: 1, updatedAt: 2, trashedAt: null };

it("an entry comes back from its body as it was", () => {
  expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
  expect(decodeEntry(encodeEntry({ ...entry, trashedAt: 5 }))).toEqual({ ...entry, trashedAt: 5 });
});

it("a body is JSON in snake_case", () => {
  expect(JSON.parse(fromUtf8(encodeEntry(entry)))).toEqual({
    ...content,
    version: 3,
    created_at: 1,
    updated_at: 2,
    trashed_at: null,
  });
});

it("contents are the same whatever the order of their members", () => {
  const { notes, ...rest } = content;
  const [field] = content.fields;
  const turned = {
    notes,
    ...rest,
    fields: [{ kind: field?.kind ?? "text", value: "s3cret", label: "password" }],
  };
  expect(sameContent(turned, content)).toBe(true);
  expect(sameContent({ ...content, title: "Zurich" }, content)).toBe(false);
  expect(sameContent({ ...content, tags: [] }, content)).toBe(false);
});

it("what counts against the limit is the content's bytes, not its characters", () => {
  const bytes = contentBytes({ ...content, title: "" });
  expect(contentBytes({ ...content, title: "ü" })).toBe(bytes + 2);
});
