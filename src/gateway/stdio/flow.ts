// Backpressure: a stream is read only while what it feeds takes more.

import type { Readable, Writable } from "node:stream";

const NEWLINE = Buffer.from("\n");

/** A stream that is read only while there is no reason to wait. */
export class Inlet {
  readonly #stream: Readable;
  readonly #reasons = new Set<unknown>();

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  hold(reason: unknown): void {
    this.#reasons.add(reason);
    this.#stream.pause();
  }

  release(reason: unknown): void {
    if (this.#reasons.delete(reason) && this.#reasons.size === 0) this.#stream.resume();
  }
}

/** Writes lines, and holds the inlets that it is fed by while the stream is full. */
export class Outlet {
  readonly #stream: Writable;
  readonly #fed = new Set<Inlet>();

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on("drain", () => this.#open());
    // An inlet that leads nowhere is read to its end.
    stream.on("close", () => this.#open());
    // Its other side is gone: the life of the gateway listens for that.
    stream.on("error", () => this.#open());
  }

  /** @param whenTaken called when the system has the bytes, or the stream is gone */
  write(line: Buffer, from: Inlet | null, whenTaken: () => void = () => {}): void {
    const stream = this.#stream;
    if (!stream.writable) {
      whenTaken();
      return;
    }
    stream.cork();
    stream.write(line);
    const takesMore = stream.write(NEWLINE, whenTaken);
    stream.uncork();
    if (takesMore || from === null) return;
    this.#fed.add(from);
    from.hold(this);
  }

  end(): void {
    this.#stream.end();
  }

  #open(): void {
    for (const inlet of this.#fed) inlet.release(this);
    this.#fed.clear();
  }
}
