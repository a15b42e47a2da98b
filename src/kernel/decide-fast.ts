// The short way of decide.ts for what nearly every request is: charges alone, on buckets without holds. It makes no answer
// of its own: what it says of such a request is what the long way would, which a test compares.

import type { Algorithm } from "./algorithms/algorithm.ts";
import { algorithmOf, type LimitSpec, type SpentState } from "./algorithms/registry.ts";
import type { Step, StepReply, StoreRequest } from "./request.ts";
import type { Outcome, StoredState } from "./state.ts";

type States = readonly (StoredState | undefined)[];
type Rule = Algorithm<LimitSpec, SpentState>;

/** Decides a request of charges alone; `null` where the long way is needed. */
export function decidePlain(request: StoreRequest, states: States, nowMs: number): Outcome | null {
  const { mode, steps, once, wait } = request;
  if (mode !== "judge" || once !== undefined || wait !== undefined) return null;
  for (let i = 0; i < steps.length; i++) if (!isPlain(steps[i] as Step, states[i], nowMs)) return null;
  const replies = new Array<StepReply>(steps.length);
  const next = new Array<StoredState | undefined>(steps.length);
  let isSame = true;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as Step;
    const { limit } = step;
    const rule = algorithmOf(limit);
    const cost = costOf(step);
    const capacity = rule.capacity(limit);
    const live = liveOf(rule, states[i], nowMs);
    const isFit = Math.max(1, cost) <= capacity - rule.used(limit, live, nowMs);
    if (!isFit && step.shadow !== true) return denied(steps, states, nowMs);
    const isCharged = cost > 0 || !rule.needsCost;
    const after = isCharged ? booked(rule, limit, live, cost, nowMs) : live;
    replies[i] = replyOf(rule, limit, after, cost, capacity, isFit, nowMs);
    next[i] = isCharged ? after : states[i];
    isSame &&= next[i] === states[i];
  }
  return { reply: { allowed: true, nowMs, steps: replies }, next: isSame ? null : next };
}

/** What a request is told of which at least one step denies. */
function denied(steps: readonly Step[], states: States, nowMs: number): Outcome {
  let isFirm = true;
  const replies = steps.map((step, i) => {
    const { limit } = step;
    const rule = algorithmOf(limit);
    const cost = costOf(step);
    const capacity = rule.capacity(limit);
    const live = liveOf(rule, states[i], nowMs);
    const isFit = Math.max(1, cost) <= capacity - rule.used(limit, live, nowMs);
    isFirm &&= isFit || step.shadow === true || rule.isFirm;
    return replyOf(rule, limit, live, cost, capacity, isFit, nowMs);
  });
  const reply = { allowed: false, nowMs, steps: replies };
  return { reply: isFirm ? { ...reply, firm: true } : reply, next: null };
}

/** Whether a step charges units, and its bucket has no holds. */
function isPlain({ event, limit }: Step, state: StoredState | undefined, nowMs: number): boolean {
  if (event.type !== "charge" || event.seen !== undefined) return false;
  if (state?.kind === "held" && nowMs < state.expiresAtMs) return false;
  const { isStale } = algorithmOf(limit);
  return isStale === undefined || !isStale(limit, nowMs);
}

/** What is spent in a bucket, by the algorithm that judges it. */
function liveOf({ kind }: Rule, state: StoredState | undefined, nowMs: number): SpentState | undefined {
  return state !== undefined && nowMs < state.expiresAtMs && state.kind === kind ? (state as SpentState) : undefined;
}

function costOf({ event }: Step): number {
  return event.type === "charge" ? event.cost : 0;
}

function booked(
  rule: Rule,
  limit: LimitSpec,
  live: SpentState | undefined,
  cost: number,
  nowMs: number,
): SpentState | undefined {
  const after = rule.book(limit, live, cost, nowMs);
  return nowMs < after.expiresAtMs ? after : undefined;
}

function replyOf(
  rule: Rule,
  limit: LimitSpec,
  after: SpentState | undefined,
  cost: number,
  capacity: number,
  isFit: boolean,
  nowMs: number,
): StepReply {
  return {
    allowed: isFit,
    used: rule.used(limit, after, nowMs),
    resetAfterMs: freeAfterMs(rule, limit, after, capacity, nowMs),
    retryAfterMs: isFit ? 0 : retryAfterMs(rule, limit, after, Math.max(1, cost), capacity, nowMs),
  };
}

function retryAfterMs(
  rule: Rule,
  limit: LimitSpec,
  after: SpentState | undefined,
  needed: number,
  capacity: number,
  nowMs: number,
): number | null {
  if (needed > capacity || !rule.comesBack) return null;
  return freeAfterMs(rule, limit, after, needed, nowMs);
}

/** At the latest when the state ends: one that another window or rate wrote may end before its units come back by this. */
function freeAfterMs(
  rule: Rule,
  limit: LimitSpec,
  after: SpentState | undefined,
  units: number,
  nowMs: number,
): number {
  return after === undefined ? 0 : Math.min(rule.freeAfterMs(limit, after, units, nowMs), after.expiresAtMs - nowMs);
}
