import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { entryTypes } from "../../core/entry.ts";
import { waitSecondsMax } from "../../protocol/limits.ts";
import { addConnectionOptions } from "../connection.ts";
import { addContentOptions, collect } from "../entry-options.ts";
import { entryExamples } from "./entry-examples.ts";
import { addEntry, editEntry, getEntry, removeEntry, restoreEntry } from "./entry-actions.ts";
import { listVersions, purgeEntry, restoreVersion, showVersion } from "./entry-history.ts";
import { listEntries, searchEntries, showCodes } from "./entry-search.ts";

/** `dormouse entry …`: what it takes; entry-actions.ts, entry-search.ts and entry-history.ts do it. */
export function defineEntry(entry: Command): void {
  addContentOptions(entryCommand(entry, "add", "add an entry (token with write scope)")).action(addEntry);
  entryCommand(entry, "get <entry_id>", "show an entry; concealed values stay hidden")
    .option("--reveal", "show concealed values")
    .option("--field <label>", "print the value of this field and nothing else")
    .action(getEntry);
  addFilters(entryCommand(entry, "list", "list entries, newest first; concealed values stay hidden")).action(
    listEntries,
  );
  addFilters(
    entryCommand(entry, "search <words...>", "find entries by title, URL, tag and labels of fields"),
  ).action(searchEntries);
  entryCommand(entry, "totp <entry_id>", "show the one-time codes of an entry")
    .option("--field <label>", "print the code of this field and nothing else")
    .action(showCodes);
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
  defineHistory(entry);
}

function defineHistory(entry: Command): void {
  addPaging(entryCommand(entry, "versions <entry_id>", "list the earlier versions of an entry")).action(
    listVersions,
  );
  entryCommand(entry, "show <entry_id>", "show an earlier version; concealed values stay hidden")
    .addOption(new Option("--version <number>", "which one").argParser(parseCount).makeOptionMandatory(true))
    .option("--reveal", "show concealed values")
    .option("--field <label>", "print the value of this field and nothing else")
    .action(showVersion);
  entryCommand(
    entry,
    "restore-version <entry_id>",
    "make an entry what an earlier version was (token with write scope)",
  )
    .addArgument(new Argument("<version>", "which one").argParser(parseCount))
    .action(restoreVersion);
  entryCommand(
    entry,
    "purge <entry_id>",
    "remove an entry with its history for good (token with write scope)",
  )
    .addOption(
      new Option("--wait <seconds>", "end once every backup has proved it, 60 at most").argParser(parseWait),
    )
    .option("--yes", "do not ask")
    .action(purgeEntry);
}

function addFilters(command: Command): Command {
  return addPaging(command)
    .addOption(new Option("--type <type>", "of this type only").choices(entryTypes))
    .option("--tag <tag>", "with this tag only")
    .option("--favourite", "favourites only")
    .option("--trash", "what is in the trash")
    .option("--reveal", "with --json: concealed values too");
}

function addPaging(command: Command): Command {
  return command
    .addOption(new Option("--limit <number>", "at most so many").default(100).argParser(parseCount))
    .option("--all", "all of them")
    .option("--cursor <cursor>", "go on where a list ended");
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

function parseWait(text: string): number {
  const seconds = Number(text);
  if (!/^\d{1,2}$/.test(text) || seconds < 1 || seconds > waitSecondsMax)
    throw new InvalidArgumentError(`It is a number from 1 to ${waitSecondsMax}.`);
  return seconds;
}
