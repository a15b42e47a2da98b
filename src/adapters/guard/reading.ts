// The answer of a call that is read piece by piece. Its hold is extended while it is read, and ends with the answer:
// read to its end, broken, cut short, aborted, or dropped by a reader that is gone.

import { ReaderGoneError } from "../../limiter.ts";

/** A call that has begun here and whose answer is still to be read. */
export interface Reading {
  /** Ends the call; with an error it is settled as `onError` says. Ending it twice is fine. */
  end(error?: unknown): Promise<void>;
  readonly ended: Promise<void>;
  readonly pace: Pace;
}

/** Whether an answer is being read. */
export class Pace {
  #waiting = 0;
  #wasRead = true;

  async wait<Piece>(piece: Promise<Piece>): Promise<Piece> {
    this.#waiting++;
    try {
      return await piece;
    } finally {
      this.#waiting--;
      this.#wasRead = true;
    }
  }

  /** Whether a reader waits now, or has read since this was last asked. */
  readonly isActive = (): boolean => {
    const isActive = this.#waiting > 0 || this.#wasRead;
    this.#wasRead = false;
    return isActive;
  };
}

/** Sees every piece before the reader does. Returns `true` for the last piece that matters to the call. */
type OnPiece<Piece> = (piece: Piece) => boolean;

/** Where pieces come from, and how to tell it that no more are wanted. */
interface Source {
  cancel(reason?: unknown): Promise<void>;
}

const CUT = "the stream was cut";

/** The same stream, whose call ends with it. */
export function readStream<Piece>(
  stream: ReadableStream<Piece>,
  reading: Reading,
  onPiece: OnPiece<Piece>,
  signal: AbortSignal | undefined,
): ReadableStream<Piece> {
  const source = new StreamSource(stream.getReader(), reading, onPiece, signal);
  // It fetches only what its reader asks for, so that an unread stream can be recognised.
  const watched = new ReadableStream<Piece>(source, { highWaterMark: 0 });
  endWhenUnreachable(watched, reading, source.reader);
  return watched;
}

class StreamSource<Piece> {
  readonly reader: ReadableStreamDefaultReader<Piece>;
  readonly #reading: Reading;
  readonly #onPiece: OnPiece<Piece>;
  readonly #signal: AbortSignal | undefined;

  constructor(
    reader: ReadableStreamDefaultReader<Piece>,
    reading: Reading,
    onPiece: OnPiece<Piece>,
    signal: AbortSignal | undefined,
  ) {
    this.reader = reader;
    this.#reading = reading;
    this.#onPiece = onPiece;
    this.#signal = signal;
  }

  start(controller: ReadableStreamDefaultController<Piece>): void {
    endWhenAborted(this.#signal, this.#reading, this.reader, weak(controller));
  }

  async pull(controller: ReadableStreamDefaultController<Piece>): Promise<void> {
    try {
      const { done, value } = await this.#reading.pace.wait(this.reader.read());
      if (!done) {
        // A reader that has read the last piece that matters may stop there.
        if (this.#onPiece(value)) void this.#reading.end();
        controller.enqueue(value);
        return;
      }
      await this.#reading.end();
      controller.close();
    } catch (error) {
      await this.#reading.end(error ?? new Error(CUT));
      controller.error(error);
    }
  }

  async cancel(reason: unknown): Promise<void> {
    await Promise.all([this.reader.cancel(reason), this.#reading.end(reason ?? new Error(CUT))]);
  }
}

/** The same pieces, whose call ends with them. */
export function readIterator<Piece>(
  pieces: AsyncIterable<Piece>,
  reading: Reading,
  onPiece: OnPiece<Piece>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<Piece> {
  const iterator = pieces[Symbol.asyncIterator]();
  const source: Source = {
    async cancel() {
      await iterator.return?.();
    },
  };
  const watched = new WatchedIterator(iterator, source, reading, onPiece);
  endWhenAborted(signal, reading, source, null);
  endWhenUnreachable(watched, reading, source);
  return watched;
}

class WatchedIterator<Piece> implements AsyncIterableIterator<Piece> {
  readonly #iterator: AsyncIterator<Piece>;
  readonly #source: Source;
  readonly #reading: Reading;
  readonly #onPiece: OnPiece<Piece>;

  constructor(iterator: AsyncIterator<Piece>, source: Source, reading: Reading, onPiece: OnPiece<Piece>) {
    this.#iterator = iterator;
    this.#source = source;
    this.#reading = reading;
    this.#onPiece = onPiece;
  }

  async next(): Promise<IteratorResult<Piece>> {
    try {
      const result = await this.#reading.pace.wait(this.#iterator.next());
      if (result.done === true) await this.#reading.end();
      else if (this.#onPiece(result.value)) void this.#reading.end();
      return result;
    } catch (error) {
      await this.#reading.end(error ?? new Error(CUT));
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Piece>> {
    await Promise.all([this.#source.cancel(), this.#reading.end(new Error(CUT))]);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

type Weak<Value extends object> = Pick<WeakRef<Value>, "deref">;

/** Some runtimes have neither this nor the registry below: there `maxHold` ends what can be reached no more. */
function weak<Value extends object>(value: Value): Weak<Value> {
  return typeof WeakRef === "undefined" ? { deref: () => value } : new WeakRef(value);
}

/** Ends what was registered when its reader is gone. */
const unreachable =
  typeof FinalizationRegistry === "undefined" ? null : new FinalizationRegistry<() => void>((end) => end());

/** Ends a call whose answer can be read no more. What is captured here must not reach `answer`. */
function endWhenUnreachable(answer: object, reading: Reading, source: Source): void {
  unreachable?.register(answer, endingOf(reading, source));
}

/** A function of its own, so that its closure has no `answer`. */
function endingOf(reading: Reading, source: Source): () => void {
  return () => drop(reading, source, new ReaderGoneError());
}

/** Ends a call that is aborted, also while its answer is not being read. A long-lived signal must not keep the answer alive. */
function endWhenAborted(
  signal: AbortSignal | undefined,
  reading: Reading,
  source: Source,
  controller: Weak<ReadableStreamDefaultController> | null,
): void {
  if (signal === undefined) return;
  const abort = () => {
    controller?.deref()?.error(signal.reason);
    drop(reading, source, signal.reason);
  };
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  reading.ended.then(() => signal.removeEventListener("abort", abort));
}

function drop(reading: Reading, source: Source, reason: unknown): void {
  void reading.end(reason);
  source.cancel(reason).catch(() => {});
}
