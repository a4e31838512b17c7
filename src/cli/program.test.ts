import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { buildProgram } from "./program.ts";

const { commands } = await buildProgram([]);
const names = commands.map((command) => command.name());

/** The command and all below it that do something themselves. */
function leavesOf(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => void (text += part) }).outputHelp();
  return text;
}

describe.each(names)("dormouse %s", (name) => {
  it("has a help with examples, and so has everything below it", async () => {
    const program = await buildProgram([name]);
    const called = program.commands.find((command) => command.name() === name);
    if (called === undefined) throw new Error("the program lacks a command of its own list");
    for (const command of leavesOf(called)) {
      const help = helpOf(command);
      expect(help).toContain(`\nExamples:\n  dormouse ${name} `);
      expect(help).toMatch(/^Usage: /);
      expect(command.description()).not.toBe("");
    }
  });
});
