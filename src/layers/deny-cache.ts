// The layer that remembers denials: a request that was denied and comes again is denied here, until something may have changed.
// It changes no answer, except that a grant or a reset by another process is seen up to a second later.

import type { Clock } from "../clock.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { askOne, type StoreAnswer } from "../store/store.ts";
import { StoreError } from "../store/error.ts";
import { breathing } from "./breath.ts";
import type { Layer } from "./layer.ts";

/** The longest that a denial is kept, ms: a grant or a reset by another process is seen within that. */
export const MAX_DENIED_MS = 1_000;
/** Most denials that are kept. One more, and all are forgotten. */
export const MAX_DENIALS = 10_000;
/** Most of them that one bucket denies: those of others go on to the store. */
const MAX_PER_BUCKET = 8;
/** Most buckets that are remembered for what was freed there. One more, and all count as freed just now. */
const MAX_FREED = 1_000;

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
 * Answers requests that were denied, for at most `keptMs`, and no longer than until time alone would let them pass, or change
 * how a bucket stands. Only firm denials by the store itself are kept. A grant, a settle or a reset through this layer removes
 * those of its bucket.
 *
 * @param clock by which denials grow old
 */
export function denyCacheLayer(store: Layer, keptMs: number, clock: Clock): Layer {
  const denials = new Denials(keptMs, clock);
  const given = breathing();
  const ask = (request: StoreRequest, leftMs: number | undefined): StoreAnswer | Promise<StoreAnswer> => {
    const askedAt = denials.freed;
    const learn = (reply: StoreAnswer): StoreAnswer => {
      denials.learn(request, reply, askedAt);
      return reply;
    };
    const asked = askOne(store, request, leftMs);
    return asked instanceof Promise ? asked.then(learn) : learn(asked);
  };
  return {
    async apply(requests, leftMs) {
      const askedAt = denials.freed;
      const replies = await store.apply(requests, leftMs);
      for (const [i, request] of requests.entries()) denials.learn(request, replies[i], askedAt);
      return replies;
    },
    answer(request, leftMs) {
      const found = denials.find(request);
      return found === undefined ? ask(request, leftMs) : given(found);
    },
    close: (withinMs) => store.close(withinMs),
  };
}

/** The denials that are kept, by the bucket that denied, and which buckets were freed since. */
class Denials {
  readonly #keptMs: number;
  readonly #clock: Clock;
  readonly #denials = new Map<string, Denial[]>();
  #count = 0;
  #freed = 0;
  /** By bucket: the last answer that freed something. */
  readonly #freedAt = new Map<string, number>();
  #allFreedAt = 0;

  constructor(keptMs: number, clock: Clock) {
    this.#keptMs = keptMs;
    this.#clock = clock;
  }

  /** Numbers the answers that may let pass what was denied. */
  get freed(): number {
    return this.#freed;
  }

  /** The denial of a request, as it is now. */
  find(request: StoreRequest): StoreReply | undefined {
    if (this.#count === 0 || !isPlain(request)) return undefined;
    const { steps } = request;
    for (let i = 0; i < steps.length; i++) {
      const known = this.#denials.get(steps[i]?.bucket ?? "");
      if (known === undefined) continue;
      const denial = known.find((each) => each.request === request || isSame(each.request, request));
      if (denial !== undefined) return agedOf(denial, this.#clock.nowMs());
    }
    return undefined;
  }

  /** @param askedAt `freed` when the request was sent: a reset may overtake a denial */
  learn(request: StoreRequest, reply: StoreAnswer | undefined, askedAt: number): void {
    for (const { event, bucket } of request.steps) if (mayFree(event.type)) this.#free(bucket);
    if (reply === undefined || StoreError.isInstance(reply) || reply.firm !== true || !isPlain(request)) return;
    if (reply.degraded !== undefined) return;
    const by = request.steps.find((step, i) => step.shadow !== true && reply.steps[i]?.allowed === false)?.bucket;
    if (by === undefined || (this.#freedAt.get(by) ?? this.#allFreedAt) > askedAt) return;
    const seenAtMs = this.#clock.nowMs();
    const endsAtMs = seenAtMs + Math.min(this.#keptMs, unchangedMs(reply));
    const denial = { request, reply, seenAtMs, endsAtMs, aged: reply };
    const isOther = (each: Denial) => seenAtMs < each.endsAtMs && !isSame(each.request, request);
    const others = (this.#denials.get(by) ?? []).filter(isOther);
    if (this.#count >= MAX_DENIALS) this.#forgetAll();
    const kept = [denial, ...others].slice(0, MAX_PER_BUCKET);
    this.#count += kept.length - (this.#denials.get(by)?.length ?? 0);
    this.#denials.set(by, kept);
  }

  #free(bucket: string): void {
    this.#count -= this.#denials.get(bucket)?.length ?? 0;
    this.#denials.delete(bucket);
    this.#freed++;
    if (this.#freedAt.size >= MAX_FREED) {
      this.#freedAt.clear();
      this.#allFreedAt = this.#freed;
    }
    this.#freedAt.set(bucket, this.#freed);
  }

  #forgetAll(): void {
    this.#denials.clear();
    this.#count = 0;
  }
}

/** Whether nothing but its charges decides about it. */
function isPlain({ mode, once, wait, steps }: StoreRequest): boolean {
  return (
    mode === "judge" && once === undefined && wait === undefined && steps.every(({ event }) => event.type === "charge")
  );
}

/** Whether an event may let pass what was denied. */
function mayFree(event: StoreRequest["steps"][number]["event"]["type"]): boolean {
  return event === "grant" || event === "reset" || event === "settle";
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
