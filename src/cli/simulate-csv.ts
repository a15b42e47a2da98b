// The calls of a simulation in CSV, a line each.

import type { Judgement } from "../kernel/answer.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import { type Cell, csvLine } from "./csv.ts";

/** Lines that are printed at once. */
const CHUNK = 5_000;

export class CallLines {
  #lines: string[];

  constructor(hasSecond: boolean) {
    const second = hasSecond ? ["allowed_against", "denied_by_against"] : [];
    this.#lines = [csvLine(["line", "session", "turn", "tool", "call_of_session", "allowed", "denied_by", ...second])];
  }

  add({ line, call }: TracedCall, nthOfSession: number, decisions: readonly Judgement[]): void {
    const said = [call.session, call.turn, call.tool].map((value) => String(value ?? ""));
    const decided = decisions.flatMap(({ allowed, deniedBy }): Cell[] => [allowed, deniedBy]);
    this.#lines.push(csvLine([line, ...said, nthOfSession, ...decided]));
    if (this.#lines.length >= CHUNK) this.end();
  }

  /** Prints what is left. */
  end(): void {
    if (this.#lines.length > 0) process.stdout.write(`${this.#lines.join("\n")}\n`);
    this.#lines = [];
  }
}
