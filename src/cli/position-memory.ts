import { Refusal } from "../core/errors.ts";
import { comparePositions, formatPosition, parsePosition, type Position } from "../core/position.ts";
import { printNote, printWarning } from "./output.ts";
import { readHighestPosition, writeHighestPosition } from "./profiles.ts";

/**
 * What a profile has seen: sites count on and on, and a site that answers from below a position seen before, itself or another
 * of its installation, has lost changes or lags. A single site cannot know that of itself.
 */
export class PositionMemory {
  readonly #profile: string;
  readonly #before: Position | undefined;
  #highest: Position | undefined;
  #hasWarned = false;

  private constructor(profile: string, before: Position | undefined) {
    this.#profile = profile;
    this.#before = before;
    this.#highest = before;
  }

  static async of(profile: string): Promise<PositionMemory> {
    return new PositionMemory(profile, await readHighestPosition(profile));
  }

  /** Takes the position that an answer names, and warns at the first that is older than one seen before. */
  see(text: string): void {
    const position = parsePosition(text);
    if (position === undefined) return;
    const highest = this.#highest ?? position;
    if (comparePositions(position, highest) >= 0) this.#highest = position;
    else if (!this.#hasWarned) this.#warn(text, highest);
  }

  /** Keeps the highest for the next command. What cannot be kept is said; what the command did stays done. */
  async keep(): Promise<void> {
    const highest = this.#highest;
    if (highest === undefined) return;
    if (this.#before !== undefined && comparePositions(highest, this.#before) <= 0) return;
    try {
      await writeHighestPosition(this.#profile, formatPosition(highest));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      printNote(`The highest position seen is not remembered: ${error.message}`);
    }
  }

  #warn(text: string, highest: Position): void {
    this.#hasWarned = true;
    printWarning({
      code: "position_went_back",
      message: `the site answers from ${text}; with the profile ${this.#profile} ${formatPosition(highest)} was seen before. It is a backup that lags, or was put back to an older copy`,
    });
  }
}
