// The fast path of decide.ts for what nearly every request is: charges alone, on buckets without entries. It makes no answer
// of its own: decide.ts gives the same for such a request, which a test compares.

import { type AnyAlgorithm, algorithmOf, type LimitSpec, type SpentState } from "./algorithms/registry.ts";
import { liveAt } from "./bucket/expiry.ts";
import { spentFreeAfterMs } from "./bucket/free-after.ts";
import { unitsFor } from "./decide/judge.ts";
import type { Step, StepEvent, StepReply, StoreRequest } from "./request.ts";
import type { BucketState, Outcome, States, StoredState } from "./state.ts";

/** Decides a request of charges alone; `null` where decide.ts has to. */
export function decidePlain(request: StoreRequest, states: States, nowMs: number): Outcome | null {
  const { mode, steps, once, wait } = request;
  return mode === "judge" && once === undefined && wait === undefined ? decideSteps(steps, states, nowMs, true) : null;
}

/** @param allowed false: some step does not fit, and nothing is charged */
function decideSteps(steps: readonly Step[], states: States, nowMs: number, allowed: boolean): Outcome | null {
  const replies = new Array<StepReply>(steps.length);
  const next = new Array<StoredState | undefined>(steps.length);
  let isSame = true;
  let isFirm = !allowed;
  for (let i = 0; i < steps.length; i++) {
    const { limit, event, shadow } = steps[i] as Step;
    const algorithm = algorithmOf(limit);
    const live = liveOf(algorithm, states[i], nowMs);
    if (!isPlainCharge(event) || !isPlainBucket(algorithm, limit, live, nowMs)) return null;
    const { cost } = event;
    const capacity = algorithm.capacity(limit);
    const fits = unitsFor(cost) <= capacity - algorithm.used(limit, live, nowMs);
    if (!fits && shadow !== true) {
      if (allowed) return decideSteps(steps, states, nowMs, false);
      isFirm &&= algorithm.isFirm;
    }
    const isCharged = allowed && (cost > 0 || !algorithm.needsCost);
    const after = isCharged ? liveAt(algorithm.book(limit, live, cost, nowMs), nowMs) : live;
    replies[i] = replyOf(algorithm, limit, after, cost, capacity, fits, nowMs);
    next[i] = isCharged ? after : states[i];
    isSame &&= next[i] === states[i];
  }
  const reply = { allowed, nowMs, steps: replies };
  return { reply: isFirm ? { ...reply, firm: true } : reply, next: isSame ? null : next };
}

function isPlainCharge(event: StepEvent): event is Extract<StepEvent, { readonly type: "charge" }> {
  return event.type === "charge" && event.seen === undefined;
}

/** Whether a bucket has no entries, and neither its state nor its limit's windows are of another time. */
function isPlainBucket(
  algorithm: AnyAlgorithm,
  limit: LimitSpec,
  live: BucketState | undefined,
  nowMs: number,
): live is SpentState | undefined {
  if (algorithm.isStale?.(limit, nowMs) === true) return false;
  return live === undefined || (live.kind !== "held" && algorithm.notAhead(limit, live, nowMs) === live);
}

/** What lies in a bucket: entries, or what the algorithm that judges it has counted. */
function liveOf({ kind }: AnyAlgorithm, state: StoredState | undefined, nowMs: number): BucketState | undefined {
  if (state === undefined || nowMs >= state.expiresAtMs) return undefined;
  return state.kind === kind || state.kind === "held" ? (state as BucketState) : undefined;
}

function replyOf(
  algorithm: AnyAlgorithm,
  limit: LimitSpec,
  after: SpentState | undefined,
  cost: number,
  capacity: number,
  fits: boolean,
  nowMs: number,
): StepReply {
  const needed = unitsFor(cost);
  const canPass = needed <= capacity && algorithm.comesBack;
  return {
    allowed: fits,
    used: algorithm.used(limit, after, nowMs),
    resetAfterMs: spentFreeAfterMs(algorithm, limit, after, capacity, nowMs),
    retryAfterMs: fits ? 0 : canPass ? spentFreeAfterMs(algorithm, limit, after, needed, nowMs) : null,
  };
}
