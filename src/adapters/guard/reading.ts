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

/** Opens the answer of a call that has begun. An error ends the call. */
export async function openAnswer<Answer>(reading: Reading, open: () => Answer | PromiseLike<Answer>): Promise<Answer> {
  try {
    return await open();
  } catch (error) {
    await reading.end(error);
    throw error;
  }
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
  const reader = stream.getReader();
  const watched = new ReadableStream<Piece>(
    {
      start(controller) {
        endWhenAborted(signal, reading, reader, weak(controller));
      },
      async pull(controller) {
        try {
          const { done, value } = await reading.pace.wait(reader.read());
          if (!done) {
            // A reader that has read the last piece that matters may stop there.
            if (onPiece(value)) void reading.end();
            controller.enqueue(value);
            return;
          }
          await reading.end();
          controller.close();
        } catch (error) {
          await reading.end(error ?? new Error(CUT));
          controller.error(error);
        }
      },
      async cancel(reason) {
        await Promise.all([reader.cancel(reason), reading.end(reason ?? new Error(CUT))]);
      },
    },
    // It fetches only what its reader asks for, so that an unread stream can be recognised.
    { highWaterMark: 0 },
  );
  endWhenUnreachable(watched, reading, reader);
  return watched;
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
  const watched: AsyncIterableIterator<Piece> = {
    async next() {
      try {
        const result = await reading.pace.wait(iterator.next());
        if (result.done === true) await reading.end();
        else if (onPiece(result.value)) void reading.end();
        return result;
      } catch (error) {
        await reading.end(error ?? new Error(CUT));
        throw error;
      }
    },
    async return() {
      await Promise.all([source.cancel(), reading.end(new Error(CUT))]);
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  endWhenAborted(signal, reading, source, null);
  endWhenUnreachable(watched, reading, source);
  return watched;
}

type Weak<Value extends object> = Pick<WeakRef<Value>, "deref">;

/** Some runtimes have neither this nor the registry below: there `maxHold` ends what can be reached no more. */
function weak<Value extends object>(value: Value): Weak<Value> {
  return typeof WeakRef === "undefined" ? { deref: () => value } : new WeakRef(value);
}

/** Ends what was registered when its reader is gone. */
const unreachable =
  typeof FinalizationRegistry === "undefined" ? null : new FinalizationRegistry<() => void>((end) => end());

/** Ends a call whose answer can be read no more. */
function endWhenUnreachable(answer: object, reading: Reading, source: Source): void {
  unreachable?.register(answer, endingOf(reading, source));
}

/** A function of its own, so that its closure does not keep `answer` reachable. */
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
