// How a client asks the service: what one tick asks, and what gathers while batches are under way, goes in one request. What
// may be sent again is, until its time is over.

import { delayOf, sleep } from "../clock.ts";
import { jsonValue, leftOut, opaqueKind } from "../kernel/args.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import { type Failure, failureOf, invalidReply, unanswered } from "./problems.ts";
import { type ItemReply, itemsIn, type Replies, replyTo } from "./replies.ts";

/** What is asked for in a batch. */
export interface Item<Op extends keyof Replies = keyof Replies> {
  readonly op: Op;
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
  readonly apiKey: string | undefined;
  readonly fetch: typeof fetch;
  readonly deadlineMs: number;
}

/** Most items of one request, and bytes of them (one alone may be larger). */
export const MAX_ITEMS = 256;
export const MAX_BYTES = 500_000;
/** Most commas of a batch: the service takes twice as many values. */
const MAX_COMMAS = 50_000;
/** Most bytes of an answer: a batch of 256 decisions on 200 limits each has fewer. */
const MAX_REPLY_BYTES = 16_000_000;
/** Most batches under way. */
const LANES = 8;
/** Most items that wait. Those that end calls may be twice as many: refused, they would leave what the calls hold in place. */
export const MAX_QUEUED = 10_000;
const ENDS: ReadonlySet<keyof Replies> = new Set(["settle", "release", "extend", "report", "end"]);
/** How often something is sent at most, and how long it waits after the first failure: twice that after the next. */
const MAX_TRIES = 4;
const PAUSE_MS = 20;

interface Queued {
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
   * @throws MisuseError as the service says, and `invalid-call`; StoreError as it says; `unavailable` when it has not answered by the deadline,
   *   `overloaded` when too much waits, `invalid-reply` when the answer is not what was asked for
   */
  ask<Op extends keyof Replies>(
    { op, body, isRepeatable }: Item<Op>,
    leftMs: number = this.deadlineMs,
  ): Promise<Replies[Op]> {
    return new Promise<unknown>((resolve, reject) => {
      if (this.#queue.length >= (ENDS.has(op) ? 2 * MAX_QUEUED : MAX_QUEUED)) {
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
        op,
        text,
        commas: commasIn(text),
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
    }) as Promise<Replies[Op]>;
  }

  /**
   * Asks for one thing by itself. Where the service has no room for one more that waits, it is decided without a wait.
   *
   * @returns the body of the answer; `null` where that has none
   * @throws as `ask`, and the signal's reason
   */
  async send(asked: Ask, leftMs: number = this.deadlineMs): Promise<unknown> {
    const { body, isRepeatable, signal } = asked;
    let { waitMs = 0 } = asked;
    const endsAtMs = performance.now() + leftMs + waitMs;
    for (let tries = 1; ; tries++) {
      const waitsMs =
        tries === 1 ? waitMs : Math.max(0, Math.min(waitMs, Math.ceil(endsAtMs - performance.now() - leftMs)));
      const said = typeof body === "function" ? body(waitsMs) : body;
      const text = said === undefined ? undefined : textOf(said);
      const { answer, failure } = await this.#request({ ...asked, waitMs: waitsMs }, text, endsAtMs);
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
    let values = 0;
    let count = 0;
    for (const { text, commas } of this.#queue) {
      bytes += text.length;
      values += commas;
      if (count === MAX_ITEMS || (count > 0 && (bytes > MAX_BYTES || values > MAX_COMMAS))) break;
      count++;
    }
    return this.#queue.splice(0, count).filter(({ isOver }) => !isOver);
  }

  async #sendAll(batch: readonly Queued[]): Promise<void> {
    const text = `{"items":[${batch.map((item) => item.text).join()}]}`;
    const endsAtMs = Math.max(...batch.map((item) => item.endsAtMs));
    const { answer, failure } = await this.#request({ method: "POST", path: "/v1/batch" }, text, endsAtMs);
    const items = failure === null ? answersIn(answer, batch.length) : failure;
    for (const [i, item] of batch.entries()) {
      item.tries++;
      if (!Array.isArray(items)) {
        this.#failed(item, items as Failure);
        continue;
      }
      const { status, body } = items[i] as ItemReply;
      if (status >= 300) this.#failed(item, failureOf(status, body));
      else this.#answered(item, body);
    }
  }

  #answered({ op, resolve, reject }: Queued, body: unknown): void {
    try {
      resolve(replyTo(op, body));
    } catch (error) {
      reject(error);
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
    const { url, apiKey, fetch, deadlineMs } = this.#options;
    // There is time to ask once more.
    const tryMs = Math.min(Math.ceil(deadlineMs / 2) + waitMs, Math.max(1, Math.ceil(endsAtMs - performance.now())));
    const late = AbortSignal.timeout(delayOf(tryMs));
    try {
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(text === undefined ? {} : { "content-type": "application/json" }),
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        ...(text === undefined ? {} : { body: text }),
        // A service does not redirect, and where else a call might be sent its key must not go.
        redirect: "manual",
        signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      });
      const received = await textIn(response);
      const answer = received === null ? undefined : parsed(received);
      if (!response.ok) return { answer, failure: failureOf(response.status, answer) };
      if (answer !== undefined) return { answer, failure: null };
      const what = received === null ? `more than ${MAX_REPLY_BYTES} bytes, or no UTF-8` : "what is no JSON";
      return { answer, failure: { error: invalidReply(what), isUndone: false } };
    } catch (error) {
      return { answer: undefined, failure: unanswered(url, error) };
    }
  }
}

function commasIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf(","); at !== -1; at = text.indexOf(",", at + 1)) count++;
  return count;
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

/** The answers of a batch; a failure where they are none. */
function answersIn(body: unknown, count: number): readonly ItemReply[] | Failure {
  try {
    return itemsIn(body, count);
  } catch (error) {
    return { error: error as StoreError, isUndone: false };
  }
}

/**
 * A body as the text that is sent.
 *
 * @throws MisuseError `invalid-call`
 */
export function textOf(body: unknown): string {
  try {
    return JSON.stringify(body, (_, value) => writable(value)) ?? "null";
  } catch (error) {
    const got = `a cycle, or a value that threw when it was read: ${formatGot(error)}`;
    throw new MisuseError("invalid-call", { path: "call", expected: "what can be written as JSON", got });
  }
}

/** A value as it is sent. The service could not tell objects apart whose content is left out. */
function writable(value: unknown): unknown {
  const said = jsonValue(value);
  const kind = typeof said === "object" && said !== null ? opaqueKind(said) : null;
  if (kind !== null) throw new TypeError(leftOut(kind));
  return said;
}

/** The text of an answer; `null` where it is too long, or no UTF-8. No more of it is read than is needed to tell. */
async function textIn(response: Response): Promise<string | null> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let bytes = 0;
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    bytes += value?.byteLength ?? 0;
    try {
      if (bytes > MAX_REPLY_BYTES) throw new RangeError("too long");
      text += decoder.decode(value, { stream: !done });
    } catch {
      void reader.cancel().catch(() => {});
      return null;
    }
    if (done) return text;
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
