// The fast path of decide.ts for what nearly every request is: charges alone, on buckets without entries. It makes no answer
// of its own: decide.ts gives the same for such a request, which a test compares.

import { type AnyAlgorithm, algorithmOf, type LimitSpec, type SpentState } from "./algorithms/registry.ts";
import { liveAt } from "./bucket/expiry.ts";
import { spentFreeAfterMs } from "./bucket/free-after.ts";
import type { Step, StepEvent, StepReply, StoreRequest } from "./request.ts";
import type { Outcome, States, StoredState } from "./state.ts";

type ChargeStep = Step & { readonly event: Extract<StepEvent, { readonly type: "charge" }> };

/** Decides a request of charges alone; `null` where decide.ts has to. */
export function decidePlain(request: StoreRequest, states: States, nowMs: number): Outcome | null {
  const { mode, steps, once, wait } = request;
  if (mode !== "judge" || once !== undefined || wait !== undefined) return null;
  for (let i = 0; i < steps.length; i++) if (!isPlain(steps[i] as Step, states[i], nowMs)) return null;
  const replies = new Array<StepReply>(steps.length);
  const next = new Array<StoredState | undefined>(steps.length);
  let isSame = true;
  for (let i = 0; i < steps.length; i++) {
    const { limit, event, shadow } = steps[i] as ChargeStep;
    const algorithm = algorithmOf(limit);
    const capacity = algorithm.capacity(limit);
    const live = liveOf(algorithm, states[i], nowMs);
    const fits = unitsFor(event.cost) <= capacity - algorithm.used(limit, live, nowMs);
    if (!fits && shadow !== true) return denied(steps as readonly ChargeStep[], states, nowMs);
    const isCharged = event.cost > 0 || !algorithm.needsCost;
    const after = isCharged ? liveAt(algorithm.book(limit, live, event.cost, nowMs), nowMs) : live;
    replies[i] = replyOf(algorithm, limit, after, event.cost, capacity, fits, nowMs);
    next[i] = isCharged ? after : states[i];
    isSame &&= next[i] === states[i];
  }
  return { reply: { allowed: true, nowMs, steps: replies }, next: isSame ? null : next };
}

function denied(steps: readonly ChargeStep[], states: States, nowMs: number): Outcome {
  let isFirm = true;
  const replies = steps.map(({ limit, event, shadow }, i) => {
    const algorithm = algorithmOf(limit);
    const capacity = algorithm.capacity(limit);
    const live = liveOf(algorithm, states[i], nowMs);
    const fits = unitsFor(event.cost) <= capacity - algorithm.used(limit, live, nowMs);
    isFirm &&= fits || shadow === true || algorithm.isFirm;
    return replyOf(algorithm, limit, live, event.cost, capacity, fits, nowMs);
  });
  const reply = { allowed: false, nowMs, steps: replies };
  return { reply: isFirm ? { ...reply, firm: true } : reply, next: null };
}

/** Whether a step charges units, and its bucket has no entries. */
function isPlain({ event, limit }: Step, state: StoredState | undefined, nowMs: number): boolean {
  if (event.type !== "charge" || event.seen !== undefined) return false;
  if (state?.kind === "held" && nowMs < state.expiresAtMs) return false;
  const { isStale } = algorithmOf(limit);
  return isStale === undefined || !isStale(limit, nowMs);
}

/** What is spent in a bucket, by the algorithm that judges it. */
function liveOf({ kind }: AnyAlgorithm, state: StoredState | undefined, nowMs: number): SpentState | undefined {
  return state !== undefined && nowMs < state.expiresAtMs && state.kind === kind ? (state as SpentState) : undefined;
}

/** Free units that a charge needs: an unknown cost (0) needs one, so that a spent budget stops it. */
export function unitsFor(cost: number): number {
  return Math.max(1, cost);
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
