// The short way of decide.ts for what nearly every request is: charges alone, on buckets without holds. It makes no answer
// of its own: what it says of such a request is what the long way would, which a test compares.

import { isStale } from "./algorithms/fixed-window.ts";
import { algorithmOf, type SpentState } from "./algorithms/registry.ts";
import type { Outcome, Step, StepReply, StoreRequest } from "./decide.ts";
import type { StoredState } from "./stored.ts";

/** Decides a request of charges alone; `null` where the long way is needed. */
export function decidePlain(
  { mode, steps, once, wait }: StoreRequest,
  states: readonly (StoredState | undefined)[],
  nowMs: number,
): Outcome | null {
  if (mode !== "judge" || once !== undefined || wait !== undefined) return null;
  let allowed = true;
  let firm = true;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as Step;
    const state = states[i];
    if (!isPlain(step, state, nowMs)) return null;
    if (step.shadow === true || fits(step, liveOf(step, state, nowMs), nowMs)) continue;
    allowed = false;
    firm &&= algorithmOf(step.limit).isFirm;
  }
  const replies = new Array<StepReply>(steps.length);
  if (!allowed) {
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as Step;
      const live = liveOf(step, states[i], nowMs);
      replies[i] = replyOf(step, live, fits(step, live, nowMs), nowMs);
    }
    return { reply: firm ? { allowed, nowMs, firm, steps: replies } : { allowed, nowMs, steps: replies }, next: null };
  }
  const next = new Array<StoredState | undefined>(steps.length);
  let isSame = true;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as Step;
    const live = liveOf(step, states[i], nowMs);
    const after = booked(step, live, nowMs);
    replies[i] = replyOf(step, after, step.shadow !== true || fits(step, live, nowMs), nowMs);
    next[i] = isCharged(step) ? after : states[i];
    isSame &&= next[i] === states[i];
  }
  return { reply: { allowed, nowMs, steps: replies }, next: isSame ? null : next };
}

/** Whether a step charges units, and its bucket has no holds. */
function isPlain({ event, limit }: Step, state: StoredState | undefined, nowMs: number): boolean {
  if (event.type !== "charge" || event.seen !== undefined) return false;
  if (state?.kind === "held" && nowMs < state.expiresAtMs) return false;
  return !("boundaries" in limit && isStale(limit, nowMs));
}

/** What is spent in its bucket, of its own algorithm. */
function liveOf({ limit }: Step, state: StoredState | undefined, nowMs: number): SpentState | undefined {
  if (state === undefined || nowMs >= state.expiresAtMs || state.kind !== algorithmOf(limit).kind) return undefined;
  return state as SpentState;
}

function costOf({ event }: Step): number {
  return event.type === "charge" ? event.cost : 0;
}

function fits(step: Step, live: SpentState | undefined, nowMs: number): boolean {
  const algorithm = algorithmOf(step.limit);
  return Math.max(1, costOf(step)) <= algorithm.capacity(step.limit) - algorithm.used(step.limit, live, nowMs);
}

/** Time that has elapsed needs no cost to begin. */
function isCharged(step: Step): boolean {
  return costOf(step) > 0 || step.limit.algorithm === "elapsed";
}

function booked(step: Step, live: SpentState | undefined, nowMs: number): SpentState | undefined {
  if (!isCharged(step)) return live;
  const after = algorithmOf(step.limit).book(step.limit, live, costOf(step), nowMs);
  return nowMs < after.expiresAtMs ? after : undefined;
}

function replyOf(step: Step, after: SpentState | undefined, isAllowed: boolean, nowMs: number): StepReply {
  const { limit } = step;
  const algorithm = algorithmOf(limit);
  const capacity = algorithm.capacity(limit);
  return {
    allowed: isAllowed,
    used: algorithm.used(limit, after, nowMs),
    resetAfterMs: freeAfterMs(step, after, capacity, nowMs),
    retryAfterMs: isAllowed ? 0 : retryAfterMs(step, after, capacity, nowMs),
  };
}

function retryAfterMs(step: Step, after: SpentState | undefined, capacity: number, nowMs: number): number | null {
  const needed = Math.max(1, costOf(step));
  // What has elapsed does not come back.
  if (needed > capacity || step.limit.algorithm === "elapsed") return null;
  return freeAfterMs(step, after, needed, nowMs);
}

/** At the latest when the state ends: one that another window or rate wrote may end before its units come back by this. */
function freeAfterMs({ limit }: Step, after: SpentState | undefined, units: number, nowMs: number): number {
  if (after === undefined) return 0;
  return Math.min(algorithmOf(limit).freeAfterMs(limit, after, units, nowMs), after.expiresAtMs - nowMs);
}
