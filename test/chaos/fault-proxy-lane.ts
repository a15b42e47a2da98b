// One direction of one connection through a fault proxy: what came and has not passed yet, in its order.

import type { Socket } from "node:net";

export type Direction = "requests" | "replies";

/** The proxy's faults, as they are now. */
export interface Faults {
  isHeld(direction: Direction): boolean;
  delayMs(): number;
  /** Whether this reply is one to reset in: then it is counted. */
  takeReset(): boolean;
}

/** Bytes, or how the sender ended. */
type Piece = { readonly what: Buffer | "end" | "reset"; dueMs: number };

/** With more than this waiting, the sender has to wait too. */
const MAX_BYTES = 8 * 2 ** 20;

export class Lane {
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: Faults;
  readonly #reset: () => void;
  #waiting: Piece[] = [];
  #bytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  /** @param reset resets the connection on both sides */
  constructor(direction: Direction, from: Socket, to: Socket, faults: Faults, reset: () => void) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    this.#reset = reset;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => this.#take("end"));
    // Also where the server refuses: a client that was accepted here sees a reset.
    from.on("error", () => this.#take("reset"));
    to.on("drain", () => this.#pump());
  }

  /** Lets everything pass that waits. */
  pass(): void {
    for (const piece of this.#waiting) piece.dueMs = 0;
    this.#pump();
  }

  /** Forgets what waits, and whatever comes. */
  clear(): void {
    this.#isOver = true;
    this.#waiting = [];
    clearTimeout(this.#timer);
  }

  #take(what: Piece["what"]): void {
    if (this.#isOver) return;
    this.#waiting.push({ what, dueMs: performance.now() + this.#faults.delayMs() });
    this.#bytes += sizeOf(what);
    if (this.#bytes > MAX_BYTES) this.#from.pause();
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (!this.#isOver && !this.#faults.isHeld(this.#direction) && !this.#to.writableNeedDrain) {
      const [piece] = this.#waiting;
      if (piece === undefined) return;
      const earlyMs = piece.dueMs - performance.now();
      if (earlyMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(earlyMs));
        return;
      }
      this.#waiting.shift();
      this.#bytes -= sizeOf(piece.what);
      if (this.#bytes <= MAX_BYTES) this.#from.resume();
      this.#deliver(piece.what);
    }
  }

  #deliver(what: Piece["what"]): void {
    if (what === "reset") this.#reset();
    else if (what === "end") this.#to.end();
    else if (this.#direction === "replies" && this.#faults.takeReset()) {
      // After this nothing passes, and the half has left before the reset does.
      this.clear();
      this.#to.write(what.subarray(0, Math.max(1, what.length >> 1)), this.#reset);
    } else this.#to.write(what);
  }
}

const sizeOf = (what: Piece["what"]) => (typeof what === "string" ? 0 : what.length);
