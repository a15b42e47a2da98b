// How a client sends requests to the service. Requests of one tick, and requests that gather while batches are in flight, go in
// one batch. A failed request is sent again, if that is safe and there is time.

import { monotonicClock, setTimer, sleep } from "../clock.ts";
import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import { jsonText } from "./body.ts";
import { type Failure, failureOf } from "./problems.ts";
import { type ItemReply, itemsIn, type Replies, replyTo } from "./replies.ts";
import { type HttpRequest, pauseBefore, request, type WireOptions } from "./request.ts";

export interface BatchItem<Op extends keyof Replies = keyof Replies> {
  readonly op: Op;
  readonly body: object;
  /** Whether sending it twice has the same effect as sending it once. */
  readonly isRepeatable: boolean;
}

/** A request outside of batches. */
export interface SingleRequest extends HttpRequest {
  /** A function gets how much of `waitMs` is left when it is sent. */
  readonly body?: object | ((leftMs: number) => object) | undefined;
  readonly isRepeatable: boolean;
}

/** The most items of one batch, and characters of them (a single item may have more). */
export const MAX_ITEMS = 256;
/** A character has at most 3 bytes in UTF-8, and the service takes bodies of 1 MiB. */
export const MAX_CHARACTERS = 300_000;
/** The most commas of a batch: the service accepts twice as many values. */
const MAX_COMMAS = 50_000;
const MAX_BATCHES = 8;
/** The most items that wait. Items of calls that run already may be twice as many: a refused one would leave units held. */
export const MAX_QUEUED = 10_000;
const AFTER_ADMISSION: ReadonlySet<keyof Replies> = new Set(["settle", "release", "extend", "report", "end"]);

interface QueuedItem {
  readonly op: keyof Replies;
  readonly text: string;
  readonly commas: number;
  readonly isRepeatable: boolean;
  readonly endsAtMs: number;
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: unknown) => void;
  tries: number;
  /** Whether it has its answer, or its time is over. */
  isOver: boolean;
}

export class Wire {
  readonly #options: WireOptions;
  #queue: QueuedItem[] = [];
  readonly #senders = new Set<Promise<void>>();
  readonly #pauses = new Set<Promise<void>>();

  constructor(options: WireOptions) {
    this.#options = options;
  }

  /** How long an answer may take. */
  get deadlineMs(): number {
    return this.#options.deadlineMs;
  }

  /**
   * Sends an item in the next batch. Its deadline starts now: it includes the time in the queue and all tries.
   *
   * @param leftMs the rest of the deadline
   * @throws MisuseError of the service, and `invalid-call`; StoreError of the service; `unavailable` without an answer by the
   *   deadline, `overloaded` when too many items wait, `invalid-reply` for an answer of another form
   */
  ask<Op extends keyof Replies>(
    { op, body, isRepeatable }: BatchItem<Op>,
    leftMs: number = this.deadlineMs,
  ): Promise<Replies[Op]> {
    return new Promise<unknown>((resolve, reject) => {
      if (this.#queue.length >= (AFTER_ADMISSION.has(op) ? 2 * MAX_QUEUED : MAX_QUEUED)) {
        throw new StoreError("overloaded", `${MAX_QUEUED} calls wait for the service`, { transient: true });
      }
      const text = jsonText({ op, ...body });
      const timer = setTimer(monotonicClock, leftMs, () => {
        const message = `the service at ${this.#options.url}: no answer within ${this.deadlineMs} ms`;
        item.reject(new StoreError("unavailable", message, { transient: true }));
        // Items end in the order in which they were asked, except those that are sent again.
        while (this.#queue[0]?.isOver === true) this.#queue.shift();
      });
      const ending = (end: (value: unknown) => void) => (value: unknown) => {
        item.isOver = true;
        timer.cancel();
        end(value);
      };
      const item: QueuedItem = {
        op,
        text,
        commas: commasIn(text),
        isRepeatable,
        endsAtMs: monotonicClock.nowMs() + leftMs,
        tries: 0,
        isOver: false,
        resolve: ending(resolve),
        reject: ending(reject),
      };
      this.#enqueue(item);
    }) as Promise<Replies[Op]>;
  }

  /**
   * Sends a request by itself. When the service has no room for another waiting call, the call is decided without a wait.
   *
   * @returns the body of the answer; `null` when it has none
   * @throws as `ask`, and the signal's reason
   */
  async send(single: SingleRequest, leftMs: number = this.deadlineMs): Promise<unknown> {
    const { body, isRepeatable, signal } = single;
    let { waitMs = 0 } = single;
    const endsAtMs = monotonicClock.nowMs() + leftMs + waitMs;
    for (let tries = 1; ; tries++) {
      // A call waits before its deadline of `leftMs` begins: this is what is left of the wait.
      const leftOfWaitMs = Math.max(0, Math.min(waitMs, Math.ceil(endsAtMs - monotonicClock.nowMs() - leftMs)));
      const sent = typeof body === "function" ? body(leftOfWaitMs) : body;
      const text = sent === undefined ? undefined : jsonText(sent);
      const { answer, failure } = await request(this.#options, { ...single, waitMs: leftOfWaitMs }, text, endsAtMs);
      if (failure === null) return answer;
      signal?.throwIfAborted();
      if (failure.isCrowded === true && waitMs > 0) {
        waitMs = 0;
        continue;
      }
      const pauseMs = pauseBefore(failure, { isRepeatable, tries, endsAtMs });
      if (pauseMs === null) throw failure.error;
      await sleep(pauseMs);
    }
  }

  /** Resolves when nothing is in flight any more. */
  async close(): Promise<void> {
    while (this.#senders.size + this.#pauses.size > 0) await Promise.all([...this.#senders, ...this.#pauses]);
  }

  #enqueue(item: QueuedItem): void {
    this.#queue.push(item);
    if (this.#senders.size >= MAX_BATCHES) return;
    const sender: Promise<void> = this.#sendBatches().finally(() => this.#senders.delete(sender));
    this.#senders.add(sender);
  }

  /** Sends one batch after the other until nothing waits. */
  async #sendBatches(): Promise<void> {
    for (;;) {
      // After this all items of the tick are in the queue.
      await null;
      if (this.#queue.length === 0) return;
      const batch = this.#takeBatch();
      if (batch.length > 0) await this.#sendBatch(batch);
    }
  }

  #takeBatch(): QueuedItem[] {
    let characters = 0;
    let commas = 0;
    let count = 0;
    for (const item of this.#queue) {
      characters += item.text.length;
      commas += item.commas;
      if (count === MAX_ITEMS || (count > 0 && (characters > MAX_CHARACTERS || commas > MAX_COMMAS))) break;
      count++;
    }
    return this.#queue.splice(0, count).filter(({ isOver }) => !isOver);
  }

  /** Sends a batch. A service with lower bounds refuses it as a whole: then it is sent in halves. */
  async #sendBatch(batch: readonly QueuedItem[]): Promise<void> {
    const text = `{"items":[${batch.map((item) => item.text).join()}]}`;
    const endsAtMs = Math.max(...batch.map((item) => item.endsAtMs));
    const { answer, failure } = await request(this.#options, { method: "POST", path: "/v1/batch" }, text, endsAtMs);
    if (MisuseError.isInstance(failure?.error) && batch.length > 1) {
      const half = Math.ceil(batch.length / 2);
      await this.#sendBatch(batch.slice(0, half));
      return this.#sendBatch(batch.slice(half));
    }
    const replies = failure ?? itemsIn(answer, batch.length);
    for (const [i, item] of batch.entries()) {
      item.tries++;
      if ("error" in replies) this.#retry(item, replies);
      else this.#answer(item, replies[i] as ItemReply);
    }
  }

  #answer(item: QueuedItem, { status, body }: ItemReply): void {
    try {
      if (status >= 300) this.#retry(item, failureOf(status, body));
      else item.resolve(replyTo(item.op, body));
    } catch (error) {
      item.reject(error);
    }
  }

  /** Sends an item again after a pause, or gives up. */
  #retry(item: QueuedItem, failure: Failure): void {
    if (item.isOver) return;
    const pauseMs = pauseBefore(failure, item);
    if (pauseMs === null) {
      item.reject(failure.error);
      return;
    }
    const pause: Promise<void> = sleep(pauseMs).then(() => {
      this.#pauses.delete(pause);
      if (!item.isOver) this.#enqueue(item);
    });
    this.#pauses.add(pause);
  }
}

function commasIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf(","); at !== -1; at = text.indexOf(",", at + 1)) count++;
  return count;
}
