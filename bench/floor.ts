import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join, resolve } from "node:path";
import { freePort } from "../test/support/processes.ts";
import { pause } from "./support/instant.ts";
import type { Side } from "./support/subject.ts";

const program = stripTypeScriptTypes(readFileSync(join(import.meta.dirname, "floor-side.ts"), "utf8"));

/** One process of the floor, floor-side.ts; see there for what it does. */
class FloorSide implements Side {
  readonly url: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  constructor(port: number, database: string, backupPort?: number) {
    this.url = `http://127.0.0.1:${port}`;
    this.#args = [port, database, ...(backupPort === undefined ? [] : [backupPort])].map(String);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    this.#child = spawn(process.execPath, ["--input-type=module", "--eval", program, ...this.#args], {
      cwd: resolve(import.meta.dirname, ".."),
      stdio: ["ignore", "ignore", "inherit"],
    });
    while (!(await fetch(`${this.url}/healthz`).then(...isAnswered))) await pause(20);
  }

  async kill(): Promise<void> {
    if (this.#child?.kill("SIGKILL")) await once(this.#child, "exit");
    this.#child = undefined;
  }
}

const isAnswered = [async (answer: Response) => (await answer.text()) !== "", () => false] as const;

/** The floor under every figure: two plain processes, a raw commit in each and one POST between them. */
export async function floorSides(folder: string): Promise<{ readonly primary: Side; readonly backup: Side }> {
  const [primaryPort, backupPort] = [await freePort(), await freePort()];
  return {
    primary: new FloorSide(primaryPort, join(folder, "floor-primary.db"), backupPort),
    backup: new FloorSide(backupPort, join(folder, "floor-backup.db")),
  };
}
