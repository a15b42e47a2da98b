// Cuts a stream of server-sent events into events, which pass as their bytes came, and finds the data of one. What the data says
// is not known here.

import type { Span } from "./contract.ts";
import { splice } from "./json/splice.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const COLON = 0x3a;

const LINES = {
  data: /(?<=^|[\r\n])data(?:: ?([^\r\n]*)|(?=[\r\n]|$))/g,
  id: /(?<=^|[\r\n])id(?:: ?([^\r\n]*)|(?=[\r\n]|$))/g,
};

export interface EventHandlers {
  /** The bytes of an event, its blank line included; or a comment that stands alone. */
  onEvent(bytes: Buffer): void;
  /** An event is longer than the bound: the stream cannot go on. Called once, and nothing after it. */
  onTooLong(): void;
}

export class EventSplitter {
  readonly #maxBytes: number;
  readonly #handlers: EventHandlers;
  /** What came of an event whose end has not come. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #isComment = false;
  /** Whether the line has no byte yet. */
  #isLineEmpty = true;
  /** Whether a newline would belong to the carriage return before it. */
  #isAfterReturn = false;
  #isOver = false;

  constructor(maxBytes: number, handlers: EventHandlers) {
    this.#maxBytes = maxBytes;
    this.#handlers = handlers;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      if (this.#bytes === 0 && at === from) this.#isComment = chunk[at] === COLON;
      if (!this.#isEnd(chunk[at] as number)) continue;
      // Both bytes of a line's end, where both are there.
      if (this.#isAfterReturn && chunk[at + 1] === NEWLINE) {
        at++;
        this.#isAfterReturn = false;
      }
      this.#add(chunk.subarray(from, at + 1));
      this.#emit();
      from = at + 1;
    }
    this.#add(chunk.subarray(from));
  }

  /** The stream has ended: what is left is no whole event, and passes as it is. */
  end(): void {
    if (this.#bytes > 0) this.#emit();
  }

  /** Whether a byte ends an event: a blank line does, and each line of a comment. */
  #isEnd(byte: number): boolean {
    const isSecond = byte === NEWLINE && this.#isAfterReturn;
    this.#isAfterReturn = byte === RETURN;
    if (isSecond) return false;
    const isLineEnd = byte === NEWLINE || byte === RETURN;
    const isEnd = isLineEnd && (this.#isLineEmpty || this.#isComment);
    this.#isLineEmpty = isLineEnd;
    return isEnd;
  }

  #add(part: Buffer): void {
    if (this.#isOver || part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#maxBytes) return;
    this.#isOver = true;
    this.#parts = [];
    this.#handlers.onTooLong();
  }

  #emit(): void {
    if (this.#isOver) return;
    const bytes = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    this.#handlers.onEvent(bytes);
  }
}

/** The data of an event, whose lines are joined by newlines; `null`: it has none. */
export function dataOf(event: Buffer): Buffer | null {
  const spans = spansOf(event, "data");
  if (spans.length === 0) return null;
  const newline = Buffer.from("\n");
  const parts = spans.flatMap(({ from, to }) => [newline, event.subarray(from, to)]);
  return Buffer.concat(parts.slice(1));
}

/** Whether a client can ask for what comes after this event. */
export function hasId(event: Buffer): boolean {
  return /(?<=^|[\r\n])id(?=[:\r\n]|$)/.test(event.toString("latin1"));
}

/** The id of an event; `null`: it has none. */
export function idOf(event: Buffer): string | null {
  const last = spansOf(event, "id").at(-1);
  return last === undefined || last.from === last.to ? null : event.toString("utf8", last.from, last.to);
}

/** The event with another id. One without an id stays without. */
export function withId(event: Buffer, rename: (id: string) => string): Buffer {
  const changes = spansOf(event, "id").map((at) => ({ at, text: rename(event.toString("utf8", at.from, at.to)) }));
  return splice(
    event,
    changes.filter(({ at }) => at.to > at.from),
  );
}

/**
 * The event with other JSON as its data; its name, its id, its comments and the ends of its lines stay.
 *
 * @param json a text in which a newline is only white space
 */
export function withData(event: Buffer, json: Buffer): Buffer {
  const spans = spansOf(event, "data");
  const lines = json.toString().split("\n");
  const isEven = lines.length === spans.length;
  // What has another number of lines stands in the first one.
  const textOf = (i: number) => (isEven ? lines[i] : i === 0 ? lines.join(" ") : "") ?? "";
  return splice(
    event,
    spans.map((at, i) => ({ at, text: textOf(i) })),
  );
}

/** Where the values of its lines of a field stand. */
function spansOf(event: Buffer, field: "data" | "id"): Span[] {
  // One character for each byte.
  const lines = event.toString("latin1").matchAll(LINES[field]);
  return [...lines].map((line) => {
    const to = line.index + line[0].length;
    return { from: to - (line[1]?.length ?? 0), to };
  });
}
