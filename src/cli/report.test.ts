import { describe, expect, it } from "vitest";
import { type ErrorCode, errorCodes, Refusal } from "../core/errors.ts";
import { exitStatusOf } from "./exit-status.ts";
import { CommandRefusal, reportOf, usageRefusal } from "./report.ts";

describe("what a command says when it fails", () => {
  it("is one line with what is wrong and what would be right", () => {
    const report = reportOf(usageRefusal("no site is named", "give --url"));
    expect(report).toEqual({ lines: ["dormouse: no site is named — give --url"], status: 2 });
  });

  it("takes the remedy of the registry where nobody knows a better one", () => {
    expect(reportOf(new Refusal("vault_unknown")).lines).toEqual([
      "dormouse: There is no such vault — Check the vault's id",
    ]);
  });

  it("has one more line for each mistake", () => {
    const mistakes = [
      { path: "title", message: "is missing" },
      { path: "", message: "must be an object" },
    ];
    expect(reportOf(new Refusal("invalid_request", "The entry has mistakes.", mistakes)).lines).toEqual([
      "dormouse: The entry has mistakes — Correct the named fields",
      "  title: is missing",
      "  (whole): must be an object",
    ]);
  });

  it("is one line without a stack for a bug", () => {
    const { lines, status } = reportOf(new TypeError("x is\nundefined"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("TypeError: x is\\x0aundefined");
    expect(status).toBe(1);
  });

  it("shows neither control characters nor tokens that came with a refusal", () => {
    const token = `dmo_${"0a".repeat(16)}_${"x".repeat(49)}`;
    const { lines } = reportOf(new CommandRefusal("internal", `\u001b[2J${token}`, "\u0007"));
    expect(lines).toEqual(["dormouse: \\x1b[2Jdmo_… — \\x07"]);
  });
});

describe("exit statuses", () => {
  it("tell apart what a script acts on differently", () => {
    const codes: Readonly<Record<string, number>> = {
      usage: 2,
      invalid_request: 1,
      internal: 1,
      disk_full: 1,
      config_invalid: 3,
      file_exposed: 3,
      port_in_use: 3,
      data_missing: 3,
      data_exists: 3,
      unreachable: 4,
      unauthorized: 5,
      forbidden: 5,
      other_vault: 5,
      vault_unknown: 6,
      entry_unknown: 6,
      stale_match: 7,
      entry_exists: 7,
      read_only_backup: 8,
      site_fenced: 8,
    };
    for (const [code, status] of Object.entries(codes)) {
      expect([code, exitStatusOf(code as ErrorCode)]).toEqual([code, status]);
    }
  });

  it("refuse with 3 for everything that the data folder or its database says", () => {
    const codes = Object.keys(errorCodes).filter((code) => /^(data|database)_/.test(code));
    expect(codes.length).toBeGreaterThan(3);
    for (const code of codes) expect([code, exitStatusOf(code as ErrorCode)]).toEqual([code, 3]);
  });
});
