// Says that a server writes lines that are no messages: the first ones, then how many. A flood of them writes one line each 10 s.

import { inBackground, type Timer } from "../../clock.ts";
import type { GatewayLog } from "../config/config.ts";

const MOST_LINES = 10;
const EACH_MS = 10_000;
const MOST_CHARACTERS = 100;

export class Garbage {
  readonly #log: GatewayLog;
  #shown = 0;
  #more = 0;
  #timer: Timer | null = null;

  constructor(log: GatewayLog) {
    this.#log = log;
  }

  add(line: Buffer): void {
    if (this.#shown < MOST_LINES) {
      this.#shown++;
      // Four bytes are the longest character.
      const text = line.toString("utf8", 0, 4 * MOST_CHARACTERS).slice(0, MOST_CHARACTERS);
      this.#log.warn({}, `the server wrote a line that is no message: ${JSON.stringify(text)}`);
      return;
    }
    this.#more++;
    this.#timer ??= inBackground(EACH_MS, () => this.flush());
  }

  /** Says how many there were since. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#more > 0) this.#log.warn({}, `the server wrote ${this.#more} more lines that are no messages`);
    this.#more = 0;
  }
}
