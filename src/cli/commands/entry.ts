import { type Command, InvalidArgumentError, Option } from "commander";
import { entryTypes } from "../../core/entry.ts";
import { addConnectionOptions } from "../connection.ts";
import { addContentOptions, collect } from "../entry-options.ts";
import { entryExamples } from "./entry-examples.ts";
import { addEntry, editEntry, getEntry, listEntries, removeEntry, restoreEntry } from "./entry-actions.ts";

/** `dormouse entry …`: what it takes; entry-actions.ts does it. */
export function defineEntry(entry: Command): void {
  addContentOptions(entryCommand(entry, "add", "add an entry (token with write scope)")).action(addEntry);
  entryCommand(entry, "get <entry_id>", "show an entry; concealed values stay hidden")
    .option("--reveal", "show concealed values")
    .option("--field <label>", "print the value of this field and nothing else")
    .action(getEntry);
  entryCommand(entry, "list", "list entries, newest first; concealed values stay hidden")
    .addOption(new Option("--limit <number>", "at most so many").default(100).argParser(parseCount))
    .option("--all", "all of them")
    .option("--cursor <cursor>", "go on where a list ended")
    .addOption(new Option("--type <type>", "of this type only").choices(entryTypes))
    .option("--tag <tag>", "with this tag only")
    .option("--trash", "what is in the trash")
    .option("--reveal", "with --json: concealed values too")
    .action(listEntries);
  addContentOptions(entryCommand(entry, "edit <entry_id>", "change an entry (token with write scope)"))
    .option("--no-favourite", "a favourite no more")
    .option("--remove-field <label>", "remove the field; may be repeated", collect)
    .option("--if-match <position>", "refuse unless the entry still stands at this position, such as 1:7")
    .action(editEntry);
  entryCommand(entry, "rm <entry_id>", "move an entry to the trash (token with write scope)")
    .option("--purge", "remove it for good")
    .option("--yes", "do not ask")
    .action(removeEntry);
  entryCommand(entry, "restore <entry_id>", "take an entry out of the trash (token with write scope)").action(
    restoreEntry,
  );
}

function entryCommand(parent: Command, usage: string, description: string): Command {
  const name = usage.split(" ", 1)[0] as keyof typeof entryExamples;
  return addConnectionOptions(parent.command(usage))
    .description(description)
    .requiredOption("--vault <vault_id>", "the vault's id")
    .addHelpText("after", entryExamples[name]);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d{1,6}$/.test(text) || count === 0)
    throw new InvalidArgumentError("It is a number from 1 to 999999.");
  return count;
}
