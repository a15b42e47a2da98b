// What adapters share: a call of a tool or of a model runs under its limits, and a denial becomes words and numbers that
// a framework can hand on. Each adapter decides where the words stand.

import type { Call } from "../kernel/call.ts";
import { type Denied, LimitExceededError } from "../kernel/decision.ts";
import { checkOptionKeys, invalidOption, MisuseError, withFaults } from "../kernel/errors.ts";
import { type AddUsage, checkMaxWait, type Limiter, type Ran, type RunContext } from "../limiter.ts";
import { openAnswer, Pace, type Reading, readIterator } from "./guard/reading.ts";

/** How an agent's run is guarded. */
export interface GuardOptions {
  /**
   * How many calls of one run may be denied before the model is asked for one last answer without tools: a whole number,
   * at least 1. Default 3.
   */
  readonly maxDenials?: number | undefined;
  /**
   * How long a call of a tool may wait until its limits allow it, 0 to 3,600,000 ms, instead of being denied at once. Default 0.
   * Calls of the model have an option of their own.
   */
  readonly maxWaitMs?: number | undefined;
}

/** What a program may read of a denial, beside the words for the model. */
export interface DenialFields {
  readonly allowed: false;
  /** The limit that keeps the call waiting longest. */
  readonly limit: string;
  /** Units that are left there. */
  readonly remaining: number;
  /** Milliseconds until the call could pass; `null`: do not wait. */
  readonly retryAfterMs: number | null;
}

/** A call that was begun here and ends elsewhere, as one does that streams. */
export interface Begun extends Reading {
  readonly allowed: true;
  readonly addUsage: AddUsage;
}

interface AskOptions {
  /** Ends the wait, and aborts the call. */
  readonly signal?: AbortSignal | undefined;
  /** Default: the guard's. */
  readonly maxWaitMs?: number | undefined;
}

/** A call, or what makes it: where that throws, the call could not be judged. */
type Asked = Call | (() => Call);

export function fieldsOf({ verdicts, deniedBy, retryAfterMs }: Denied): DenialFields {
  const remaining = verdicts.find(({ limit }) => limit === deniedBy)?.remaining ?? 0;
  return { allowed: false, limit: deniedBy, remaining, retryAfterMs };
}

/** What a notice is about: of several, the model needs the latest alone. */
export function noticeKey(tool: string, notice: string): string {
  return /\bthis tool\b/i.test(notice) || notice.includes(tool) ? `tool ${tool}` : "all tools";
}

/**
 * What the model reads: after each result its notice. Of calls that were made together, one notice for what each is about: the
 * latest.
 *
 * @param noticeOf `undefined` for a message that is no result
 */
export function withNotices<Message>(
  messages: readonly Message[],
  noticeOf: (message: Message) => { readonly tool: string; readonly notice: string | null } | undefined,
  withNotice: (message: Message, notice: string) => Message,
): Message[] {
  const shown = new Set<string>();
  const read = messages.toReversed().map((message) => {
    const result = noticeOf(message);
    if (result === undefined) shown.clear();
    if (!result?.notice) return message;
    const key = noticeKey(result.tool, result.notice);
    if (shown.has(key)) return message;
    shown.add(key);
    return withNotice(message, result.notice);
  });
  return read.reverse();
}

/** One run of an agent, as its limits see it. */
export class Guard {
  readonly #limiter: Limiter;
  readonly #maxDenials: number;
  readonly #maxWaitMs: number | undefined;
  readonly #dimensionsFrom: string;
  readonly #thrown = new WeakMap<object, "denial" | "fault">();
  #denials = 0;
  #fault: unknown = null;

  /** @param dimensionsFrom where the adapter's user gives the dimensions, for the error that names a missing one */
  constructor(limiter: Limiter, options: GuardOptions = {}, dimensionsFrom = "limiter.for({ … })") {
    checkOptionKeys(options, ["maxDenials", "maxWaitMs"]);
    const { maxDenials = 3, maxWaitMs } = options;
    if (typeof limiter?.run !== "function") throw invalidOption("limiter", "a limiter from createLimiter", limiter);
    if (!Number.isSafeInteger(maxDenials) || maxDenials < 1) {
      throw invalidOption("maxDenials", "a whole number, at least 1", maxDenials);
    }
    checkMaxWait(maxWaitMs);
    this.#limiter = limiter;
    this.#maxDenials = maxDenials;
    this.#maxWaitMs = maxWaitMs;
    this.#dimensionsFrom = dimensionsFrom;
  }

  /** Whether so many calls were denied that the model should answer with what it has. */
  get isSpent(): boolean {
    return this.#denials >= this.#maxDenials;
  }

  /**
   * Throws what went wrong before a tool ran: the program gave no value for a dimension of the policy, or the store is
   * away. For frameworks that show the model what a tool throws: the model can do nothing about it, but the program's author can.
   */
  throwFault(): void {
    if (this.#fault !== null) throw this.#fault;
  }

  /** A denial for frameworks that make a tool's result of what it throws, and show later what was thrown in a run. */
  deniedError(decision: Denied): LimitExceededError {
    const error = new LimitExceededError(decision);
    this.#thrown.set(error, "denial");
    return error;
  }

  /** As `isSpent`, of a run whose tools threw these, of this guard that serves several runs. */
  isSpentBy(thrown: readonly object[]): boolean {
    return thrown.filter((error) => this.#thrown.get(error) === "denial").length >= this.#maxDenials;
  }

  /** As `throwFault`, of a run whose tools threw these. */
  throwFaultIn(thrown: readonly object[]): void {
    const fault = thrown.find((error) => this.#thrown.get(error) === "fault");
    if (fault !== undefined) throw fault;
  }

  /** Runs a call under its limits. What the function throws is thrown again. */
  async run<Value>(
    call: Asked,
    run: (addUsage: AddUsage) => Value | PromiseLike<Value>,
    options: AskOptions & { readonly isActive?: () => boolean } = {},
  ): Promise<Ran<Value> | Denied> {
    const { signal, isActive, maxWaitMs = this.#maxWaitMs } = options;
    let hasBegun = false;
    const begin = ({ addUsage }: RunContext) => {
      hasBegun = true;
      return run(addUsage);
    };
    try {
      const asked = typeof call === "function" ? call() : call;
      const ran = await this.#limiter.run(asked, begin, { signal, isActive, maxWaitMs });
      if (!ran.allowed) this.#denials++;
      return ran;
    } catch (error) {
      if (hasBegun || signal?.aborted === true) throw error;
      const fault = withPlace(error, this.#dimensionsFrom);
      if (typeof fault === "object" && fault !== null) this.#thrown.set(fault, "fault");
      this.#fault = fault;
      throw fault;
    }
  }

  /** Begins a call that ends elsewhere. Until then its units are held: it has to be ended. */
  begin(call: Asked, options: AskOptions = {}): Promise<Begun | Denied> {
    const { promise: answer, resolve, reject } = Promise.withResolvers<void>();
    const { promise: ended, resolve: hasEnded } = Promise.withResolvers<void>();
    const end = (error?: unknown) => {
      if (error === undefined) resolve();
      else reject(error);
      return ended;
    };
    const pace = new Pace();
    return new Promise((begun, failed) => {
      const run = (addUsage: AddUsage) => {
        begun({ allowed: true, addUsage, pace, ended, end });
        return answer;
      };
      const ran = this.run(call, run, { ...options, isActive: pace.isActive });
      ran.catch(() => {}).finally(hasEnded);
      ran.then((result) => {
        if (!result.allowed) begun(result);
      }, failed);
    });
  }

  /** Yields what a generator yields, under the limits of its call. One that is cut short has failed. */
  async *iterate<Value>(call: Asked, iterate: () => AsyncIterable<Value>, signal?: AbortSignal): AsyncGenerator<Value> {
    const begun = await this.begin(call, { signal });
    if (!begun.allowed) throw this.deniedError(begun);
    const values = await openAnswer(begun, iterate);
    yield* readIterator(values, begun, () => false, signal);
  }
}

/**
 * An error that also says where to give a missing dimension. The only cost that a guard gives is the estimate of a call of
 * the model.
 */
function withPlace(error: unknown, place: string): unknown {
  if (!MisuseError.isInstance(error)) return error;
  if (error.code === "unknown-unit" || error.code === "invalid-cost") {
    return withFaults(error, (fault) => ({ ...fault, path: fault.path.replace(/^cost/, "model.estimate") }));
  }
  if (error.code !== "missing-dimension") return error;
  return withFaults(error, ({ hint: _inCode, expected, ...fault }) => {
    return { ...fault, expected: `${expected}; say it in ${place}` };
  });
}
