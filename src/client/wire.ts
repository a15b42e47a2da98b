// How a client asks the service: what one tick asks, and what gathers while batches are under way, goes in one request. What
// may be sent again is, until its time is over.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store.ts";
import { type Failure, failureOf, invalidReply, unanswered } from "./problems.ts";

/** What is asked for in a batch. */
export interface Item {
  readonly op: string;
  readonly body: object;
  /** Whether it comes to the same when the service is asked twice. */
  readonly isRepeatable: boolean;
}

/** What is asked for by itself. */
export interface Ask {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  /** Of `waitMs`, so much is left when it is sent. */
  readonly body?: object | ((leftMs: number) => object) | undefined;
  readonly isRepeatable: boolean;
  /** How much longer than others the answer may take, ms. */
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WireOptions {
  /** Without a slash at its end. */
  readonly url: string;
  readonly key: string | undefined;
  readonly fetch: typeof fetch;
  readonly deadlineMs: number;
}

/** Most items of one request, and bytes of them (one alone may be larger). */
export const MAX_ITEMS = 256;
const MAX_BYTES = 500_000;
/** Most batches under way. */
const LANES = 8;
/** Most items that wait. */
const MAX_QUEUED = 10_000;
/** How often something is sent at most, and how long it waits after the first failure: twice that after the next. */
const MAX_TRIES = 4;
const PAUSE_MS = 20;

interface Queued {
  readonly text: string;
  readonly isRepeatable: boolean;
  readonly endsAtMs: number;
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: unknown) => void;
  tries: number;
  /** Whether it has its answer, or its time is over. */
  isOver: boolean;
}

/** The way to the service. */
export class Wire {
  readonly #options: WireOptions;
  #queue: Queued[] = [];
  readonly #lanes = new Set<Promise<void>>();
  readonly #pauses = new Set<Promise<void>>();

  constructor(options: WireOptions) {
    this.#options = options;
  }

  /** How long an answer may take. */
  get deadlineMs(): number {
    return this.#options.deadlineMs;
  }

  /**
   * Asks for one thing, together with whatever else is asked now. Its time is counted from now: that in which it waits to
   * be sent, and all tries, are part of it.
   *
   * @param leftMs what is left of the deadline
   * @returns the body of its answer; `null` where that has none
   * @throws MisuseError as the service says, and `invalid-call`; StoreError as it says; `unavailable` when it has not answered by the deadline,
   *   `overloaded` when too much waits
   */
  ask({ op, body, isRepeatable }: Item, leftMs: number = this.deadlineMs): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length >= MAX_QUEUED) {
        throw new StoreError("overloaded", `${MAX_QUEUED} calls wait for the service`, { transient: true });
      }
      const text = textOf({ op, ...body });
      const timer = setTimeout(() => {
        item.reject(late(this.#options));
        // Items end in the order in which they were asked, but for those that are sent again.
        while (this.#queue[0]?.isOver === true) this.#queue.shift();
      }, leftMs);
      const over = () => {
        item.isOver = true;
        clearTimeout(timer);
      };
      const item: Queued = {
        text,
        isRepeatable,
        endsAtMs: performance.now() + leftMs,
        tries: 0,
        isOver: false,
        resolve: (answer) => {
          over();
          resolve(answer);
        },
        reject: (error) => {
          over();
          reject(error);
        },
      };
      this.#put(item);
    });
  }

  /**
   * Asks for one thing by itself.
   *
   * @throws as `ask`, and the signal's reason
   */
  async send(asked: Ask, leftMs: number = this.deadlineMs): Promise<unknown> {
    const { body, isRepeatable, waitMs = 0, signal } = asked;
    const endsAtMs = performance.now() + leftMs + waitMs;
    for (let tries = 1; ; tries++) {
      const waitsMs =
        tries === 1 ? waitMs : Math.max(0, Math.min(waitMs, Math.ceil(endsAtMs - performance.now() - leftMs)));
      const said = typeof body === "function" ? body(waitsMs) : body;
      const text = said === undefined ? undefined : textOf(said);
      const { answer, failure } = await this.#request({ ...asked, waitMs: waitsMs }, text, endsAtMs);
      if (failure === null) return answer;
      signal?.throwIfAborted();
      const pauseMs = pauseBefore(failure, { isRepeatable, tries, endsAtMs });
      if (pauseMs === null) throw failure.error;
      await sleep(pauseMs);
    }
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    while (this.#lanes.size + this.#pauses.size > 0) await Promise.all([...this.#lanes, ...this.#pauses]);
  }

  #put(item: Queued): void {
    this.#queue.push(item);
    if (this.#lanes.size >= LANES) return;
    const lane: Promise<void> = this.#run().finally(() => this.#lanes.delete(lane));
    this.#lanes.add(lane);
  }

  /** Sends one batch after the other until nothing waits. */
  async #run(): Promise<void> {
    for (;;) {
      // By then all is there that is asked now.
      await null;
      if (this.#queue.length === 0) return;
      const batch = this.#take();
      if (batch.length > 0) await this.#sendAll(batch);
    }
  }

  #take(): Queued[] {
    let bytes = 0;
    let count = 0;
    for (const { text } of this.#queue) {
      bytes += text.length;
      if (count === MAX_ITEMS || (count > 0 && bytes > MAX_BYTES)) break;
      count++;
    }
    return this.#queue.splice(0, count).filter(({ isOver }) => !isOver);
  }

  async #sendAll(batch: readonly Queued[]): Promise<void> {
    const text = `{"items":[${batch.map((item) => item.text).join()}]}`;
    const endsAtMs = Math.max(...batch.map((item) => item.endsAtMs));
    const { answer, failure } = await this.#request({ method: "POST", path: "/v1/batch" }, text, endsAtMs);
    const items = failure === null ? itemsOf(answer) : [];
    for (const [i, item] of batch.entries()) {
      item.tries++;
      const found = items[i] ?? null;
      if (failure !== null) this.#failed(item, failure);
      else if (found === null) item.reject(invalidReply("fewer items than it was asked for"));
      else if (found.status < 300) item.resolve(found.body);
      else this.#failed(item, failureOf(found.status, found.body));
    }
  }

  /** Sends it again after a while, or gives up. */
  #failed(item: Queued, failure: Failure): void {
    if (item.isOver) return;
    const pauseMs = pauseBefore(failure, item);
    if (pauseMs === null) {
      item.reject(failure.error);
      return;
    }
    const pause: Promise<void> = sleep(pauseMs).then(() => {
      this.#pauses.delete(pause);
      if (!item.isOver) this.#put(item);
    });
    this.#pauses.add(pause);
  }

  async #request(
    { method, path, waitMs = 0, signal }: Pick<Ask, "method" | "path" | "waitMs" | "signal">,
    text: string | undefined,
    endsAtMs: number,
  ): Promise<{ readonly answer: unknown; readonly failure: Failure | null }> {
    const { url, key, fetch, deadlineMs } = this.#options;
    // There is time to ask once more.
    const tryMs = Math.min(Math.ceil(deadlineMs / 2) + waitMs, Math.max(1, Math.ceil(endsAtMs - performance.now())));
    const late = AbortSignal.timeout(tryMs);
    try {
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(text === undefined ? {} : { "content-type": "application/json" }),
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        },
        ...(text === undefined ? {} : { body: text }),
        signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      });
      const answer = parsed(await response.text());
      if (!response.ok) return { answer, failure: failureOf(response.status, answer) };
      if (answer !== undefined) return { answer, failure: null };
      return { answer, failure: { error: invalidReply("what is no JSON"), isUndone: false } };
    } catch (error) {
      return { answer: undefined, failure: unanswered(url, error) };
    }
  }
}

/** How long to wait until something is sent again; `null`: it is not. */
function pauseBefore(
  { error, isUndone }: Failure,
  { isRepeatable, tries, endsAtMs }: Pick<Queued, "isRepeatable" | "tries" | "endsAtMs">,
): number | null {
  if (!StoreError.isInstance(error) || !error.transient) return null;
  if (!(isRepeatable || isUndone) || tries >= MAX_TRIES) return null;
  // Those that failed together do not come back together.
  const pauseMs = PAUSE_MS * 2 ** (tries - 1) * (0.5 + Math.random());
  return performance.now() + pauseMs < endsAtMs ? pauseMs : null;
}

function late({ url, deadlineMs }: WireOptions): StoreError {
  const message = `the service at ${url}: no answer within ${deadlineMs} ms`;
  return new StoreError("unavailable", message, { transient: true });
}

function itemsOf(answer: unknown): readonly ({ readonly status: number; readonly body: unknown } | null)[] {
  const items = typeof answer === "object" && answer !== null && "items" in answer ? answer.items : undefined;
  return Array.isArray(items) ? items : [];
}

/** @throws MisuseError `invalid-call` */
function textOf(body: object): string {
  try {
    return JSON.stringify(body);
  } catch {
    const got = "a circle, or a bigint";
    throw new MisuseError("invalid-call", { path: "call", expected: "what can be said in JSON", got });
  }
}

/** `null` for nothing, `undefined` for what is no JSON. */
function parsed(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
