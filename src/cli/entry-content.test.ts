import { describe, expect, it } from "vitest";
import {
  concealEntry,
  mergeFields,
  parseEntryJson,
  parseOpenField,
  parseSecretFile,
  parseSecretLabel,
  valueOfFile,
  writableEntry,
} from "./entry-content.ts";

describe("fields from the command line", () => {
  it.each([
    ["username=demo", { label: "username", kind: "text", value: "demo" }],
    ["mail:email=demo@example.org", { label: "mail", kind: "email", value: "demo@example.org" }],
    ["a:b=c=d", { label: "a:b", kind: "text", value: "c=d" }],
    ["empty=", { label: "empty", kind: "text", value: "" }],
  ])("reads %s", (text, field) => {
    expect(parseOpenField(text)).toEqual(field);
  });

  it.each(["password:concealed=hunter2", "otp:totp=JBSWY3DP"])(
    "takes no concealed value, and does not repeat it: %s",
    (text) => {
      expect(() => parseOpenField(text)).toThrow(/not taken from the command line/);
      expect(() => parseOpenField(text)).not.toThrow(/hunter2|JBSWY/);
    },
  );

  it("refuses a field without a label", () => {
    expect(() => parseOpenField("=x")).toThrow(/LABEL=VALUE/);
    expect(() => parseOpenField("x")).toThrow(/LABEL=VALUE/);
  });

  it("reads labels of secrets, and refuses a value beside one without repeating it", () => {
    expect(parseSecretLabel("password")).toEqual({ label: "password", kind: "concealed" });
    expect(parseSecretLabel("otp:totp")).toEqual({ label: "otp", kind: "totp" });
    expect(() => parseSecretLabel("password=hunter2")).toThrow(/no value/);
    expect(() => parseSecretLabel("password=hunter2")).not.toThrow(/hunter2/);
    expect(parseSecretFile("key=./a=b")).toEqual({ label: "key", kind: "concealed", path: "./a=b" });
  });

  it("drops the newline that an editor adds to one line, and keeps a text of several lines whole", () => {
    expect(valueOfFile("secret\n")).toBe("secret");
    expect(valueOfFile("secret\r\n")).toBe("secret");
    expect(valueOfFile("-----BEGIN\nkey\n")).toBe("-----BEGIN\nkey\n");
  });
});

describe("an entry's fields", () => {
  const username = { label: "username", kind: "text", value: "demo" };
  const password = { label: "password", kind: "concealed", value: "old" };

  it("keep their places when they change, and new ones come last", () => {
    const changed = { ...username, value: "jane" };
    const added = { label: "pin", kind: "concealed", value: "1" };
    expect(mergeFields([username, password], [added, changed], [])).toEqual([changed, password, added]);
  });

  it("go when they are removed by label", () => {
    expect(mergeFields([username, password], [], ["password"])).toEqual([username]);
  });

  it("are hidden where they are concealed, TOTP keys and unknown kinds too", () => {
    const otp = { label: "otp", kind: "totp", value: "k" };
    const later = { label: "later", kind: "not-known-yet", value: "k" };
    expect(concealEntry({ title: "x", fields: [username, password, otp, later] }).fields).toEqual([
      username,
      { ...password, value: null, hidden: true },
      { ...otp, value: null, hidden: true },
      { ...later, value: null, hidden: true },
    ]);
  });
});

describe("an entry as JSON", () => {
  it("loses what only the site writes, and keeps everything else for the site to judge", () => {
    const text = `{"title":"x","version":3,"replication":{},"position":"1:7","odd":1,"__proto__":{"a":1}}`;
    expect(JSON.stringify(writableEntry(parseEntryJson(text, "stdin")))).toBe(
      `{"title":"x","odd":1,"__proto__":{"a":1}}`,
    );
  });

  it("is refused with a hidden value, which would overwrite the real one", () => {
    const shown = concealEntry({ fields: [{ label: "password", kind: "concealed", value: "s" }] });
    expect(() => writableEntry(shown)).toThrow(/hidden/);
  });

  it.each(["", "{", "[]", "null", `"x"`])(
    "is refused when it is no object, without repeating it: %j",
    (text) => {
      expect(() => parseEntryJson(text, "entry.json")).toThrow(/^entry\.json is not/);
    },
  );
});
