// The layer that remembers denials: a request that was denied and comes again is denied here, until something may have changed.
// It changes no answer, except that units are seen up to a second later that another process frees by a grant or a reset, or that
// are given back: after an outage, and of a call that another shard denied.

import type { Clock } from "../clock.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Layer, StoreAnswer } from "../store/store.ts";
import { StoreError } from "../store/error.ts";
import { yielding } from "../breath.ts";
import { askOne, isPlainCall } from "./layer.ts";

/** Most denials that are kept. One more, and all are forgotten. */
const MAX_DENIALS = 10_000;
/** Most of them that one bucket denies: those of others go on to the store. */
const MAX_PER_BUCKET = 8;

interface Denial {
  readonly request: StoreRequest;
  readonly reply: StoreReply;
  /** By the layer's clock. */
  readonly seenAtMs: number;
  readonly endsAtMs: number;
  /** The reply as it was given last: within one ms it is the same for all who ask. */
  aged: StoreReply;
}

/**
 * Answers requests that were denied, for at most `keptMs` of the clock, and only until the first instant at which time alone
 * changes anything in the answer. Only firm denials by the store itself are kept. A grant or a reset through this layer removes
 * those of its bucket.
 */
export class DenyCacheLayer implements Layer {
  readonly #store: Layer;
  readonly #keptMs: number;
  readonly #clock: Clock;
  readonly #yield = yielding();
  readonly #denials = new Map<string, Denial[]>();
  #count = 0;
  /** How many answers may have made room for calls that were denied. */
  #freed = 0;

  constructor(store: Layer, keptMs: number, clock: Clock) {
    this.#store = store;
    this.#keptMs = keptMs;
    this.#clock = clock;
  }

  async apply(requests: readonly StoreRequest[], leftMs?: number): Promise<readonly StoreAnswer[]> {
    const askedAt = this.#freed;
    const replies = await this.#store.apply(requests, leftMs);
    for (const [i, request] of requests.entries()) this.#learn(request, replies[i], askedAt);
    return replies;
  }

  answer(request: StoreRequest, leftMs?: number): StoreAnswer | Promise<StoreAnswer> {
    const denial = this.#find(request);
    if (denial !== undefined) return this.#yield(denial);
    const askedAt = this.#freed;
    const learn = (reply: StoreAnswer) => {
      this.#learn(request, reply, askedAt);
      return reply;
    };
    const asked = askOne(this.#store, request, leftMs);
    return asked instanceof Promise ? asked.then(learn) : learn(asked);
  }

  close(withinMs?: number): Promise<void> {
    return this.#store.close(withinMs);
  }

  /** The denial of a request, as it is now. */
  #find(request: StoreRequest): StoreReply | undefined {
    if (this.#count === 0 || !isPlainCall(request)) return undefined;
    const { steps } = request;
    for (let i = 0; i < steps.length; i++) {
      const known = this.#denials.get(steps[i]?.bucket ?? "");
      if (known === undefined) continue;
      const denial = known.find((each) => each.request === request || isSame(each.request, request));
      if (denial !== undefined) return agedOf(denial, this.#clock.nowMs());
    }
    return undefined;
  }

  /** @param askedAt `#freed` when the request was sent: a grant or a reset may overtake a denial, which is not kept then */
  #learn(request: StoreRequest, reply: StoreAnswer | undefined, askedAt: number): void {
    // A firm denial is of a bucket without holds: no settle frees units there.
    for (const { event, bucket } of request.steps) {
      if (event.type === "grant" || event.type === "reset") this.#free(bucket);
    }
    if (reply === undefined || StoreError.isInstance(reply) || reply.firm !== true || !isPlainCall(request)) return;
    if (reply.degraded !== undefined) return;
    const by = request.steps.find((step, i) => step.shadow !== true && reply.steps[i]?.allowed === false)?.bucket;
    if (by === undefined || this.#freed > askedAt) return;
    if (this.#count >= MAX_DENIALS) {
      this.#denials.clear();
      this.#count = 0;
    }
    const seenAtMs = this.#clock.nowMs();
    const endsAtMs = seenAtMs + Math.min(this.#keptMs, unchangedMs(reply));
    const denial = { request, reply, seenAtMs, endsAtMs, aged: reply };
    const isOther = (each: Denial) => seenAtMs < each.endsAtMs && !isSame(each.request, request);
    const known = this.#denials.get(by) ?? [];
    const kept = [denial, ...known.filter(isOther)].slice(0, MAX_PER_BUCKET);
    this.#count += kept.length - known.length;
    this.#denials.set(by, kept);
  }

  #free(bucket: string): void {
    this.#count -= this.#denials.get(bucket)?.length ?? 0;
    this.#denials.delete(bucket);
    this.#freed++;
  }
}

/** Whether two requests ask the same of the same buckets, by the same limits. */
function isSame({ steps }: StoreRequest, other: StoreRequest): boolean {
  if (steps.length !== other.steps.length) return false;
  return steps.every(({ bucket, limit, event, shadow }, i) => {
    const step = other.steps[i];
    if (step?.bucket !== bucket || step.limit !== limit || step.shadow !== shadow) return false;
    return (
      event.type === "charge" &&
      step.event.type === "charge" &&
      step.event.cost === event.cost &&
      step.event.seen === event.seen
    );
  });
}

/** For how long time alone changes no verdict. */
function unchangedMs({ steps }: StoreReply): number {
  const ends = steps.flatMap(({ resetAfterMs, retryAfterMs }) => [resetAfterMs, retryAfterMs ?? 0]);
  return Math.min(...ends.filter((ms) => ms > 0));
}

/** The same answer, given later; `undefined` where it may be another one by now. */
function agedOf(denial: Denial, nowMs: number): StoreReply | undefined {
  const { reply, seenAtMs, endsAtMs } = denial;
  if (nowMs >= endsAtMs || nowMs < seenAtMs) return undefined;
  const ageMs = Math.floor(nowMs - seenAtMs);
  if (denial.aged.nowMs === reply.nowMs + ageMs) return denial.aged;
  const since = (ms: number) => Math.max(0, ms - ageMs);
  const steps = reply.steps.map((step) => ({
    ...step,
    resetAfterMs: since(step.resetAfterMs),
    retryAfterMs: step.retryAfterMs === null ? null : since(step.retryAfterMs),
  }));
  denial.aged = { ...reply, nowMs: reply.nowMs + ageMs, steps };
  return denial.aged;
}
