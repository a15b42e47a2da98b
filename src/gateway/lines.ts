// Cuts a stream of bytes into lines, and bounds them. What a line says is not known here.

const NEWLINE = 0x0a;

export interface LineHandlers {
  /** A line without its newline. */
  onLine(line: Buffer): void;
  /** A line is longer than the bound. Called once for it; its bytes are dropped. */
  onTooLong(): void;
}

export class LineSplitter {
  readonly #maxBytes: number;
  readonly #handlers: LineHandlers;
  /** The beginning of a line whose end has not come. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #isDropping = false;

  constructor(maxBytes: number, handlers: LineHandlers) {
    this.#maxBytes = maxBytes;
    this.#handlers = handlers;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      this.#add(chunk.subarray(from, end === -1 ? chunk.length : end));
      if (end === -1) return;
      this.end();
      from = end + 1;
    }
  }

  /** The end of a line, or of the stream: a last line needs no newline. */
  end(): void {
    const line = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    const isWhole = !this.#isDropping;
    this.#parts = [];
    this.#bytes = 0;
    this.#isDropping = false;
    if (isWhole && line !== undefined && line.length > 0) this.#handlers.onLine(line);
  }

  #add(part: Buffer): void {
    if (this.#isDropping || part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#maxBytes) return;
    this.#parts = [];
    this.#isDropping = true;
    this.#handlers.onTooLong();
  }
}
