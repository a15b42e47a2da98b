// The short way of decide.ts for what nearly every request is: charges alone, on buckets without holds. It makes no answer
// of its own: what it says of such a request is what the long way would, which a test compares.

import type { Algorithm } from "./algorithms/algorithm.ts";
import { isStale } from "./algorithms/fixed-window.ts";
import { algorithmOf, type LimitSpec, type SpentState } from "./algorithms/registry.ts";
import type { Outcome, Step, StepReply, StoreRequest } from "./decide.ts";
import type { StoredState } from "./stored.ts";

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
    const rule = algorithmOf(step.limit);
    const live = liveOf(rule, states[i], nowMs);
    const isFit = fits(rule, step, live, nowMs);
    if (!isFit && step.shadow !== true) return denied(steps, states, nowMs);
    const isCharged = costOf(step) > 0 || step.limit.algorithm === "elapsed";
    const after = isCharged ? booked(rule, step, live, nowMs) : live;
    replies[i] = replyOf(rule, step, after, isFit, nowMs);
    next[i] = isCharged ? after : states[i];
    isSame &&= next[i] === states[i];
  }
  return { reply: { allowed: true, nowMs, steps: replies }, next: isSame ? null : next };
}

/** What a request is told of which at least one step denies. */
function denied(steps: readonly Step[], states: States, nowMs: number): Outcome {
  let isFirm = true;
  const replies = steps.map((step, i) => {
    const rule = algorithmOf(step.limit);
    const live = liveOf(rule, states[i], nowMs);
    const isFit = fits(rule, step, live, nowMs);
    isFirm &&= isFit || step.shadow === true || rule.isFirm;
    return replyOf(rule, step, live, isFit, nowMs);
  });
  const reply = { allowed: false, nowMs, steps: replies };
  return { reply: isFirm ? { ...reply, firm: true } : reply, next: null };
}

/** Whether a step charges units, and its bucket has no holds. */
function isPlain({ event, limit }: Step, state: StoredState | undefined, nowMs: number): boolean {
  if (event.type !== "charge" || event.seen !== undefined) return false;
  if (state?.kind === "held" && nowMs < state.expiresAtMs) return false;
  return limit.algorithm !== "fixed-window" || limit.align !== "calendar" || !isStale(limit, nowMs);
}

/** What is spent in a bucket, by the algorithm that judges it. */
function liveOf({ kind }: Rule, state: StoredState | undefined, nowMs: number): SpentState | undefined {
  return state !== undefined && nowMs < state.expiresAtMs && state.kind === kind ? (state as SpentState) : undefined;
}

function costOf({ event }: Step): number {
  return event.type === "charge" ? event.cost : 0;
}

function fits(rule: Rule, step: Step, live: SpentState | undefined, nowMs: number): boolean {
  return Math.max(1, costOf(step)) <= rule.capacity(step.limit) - rule.used(step.limit, live, nowMs);
}

function booked(rule: Rule, step: Step, live: SpentState | undefined, nowMs: number): SpentState | undefined {
  const after = rule.book(step.limit, live, costOf(step), nowMs);
  return nowMs < after.expiresAtMs ? after : undefined;
}

function replyOf(rule: Rule, step: Step, after: SpentState | undefined, isFit: boolean, nowMs: number): StepReply {
  const { limit } = step;
  return {
    allowed: isFit,
    used: rule.used(limit, after, nowMs),
    resetAfterMs: freeAfterMs(rule, limit, after, rule.capacity(limit), nowMs),
    retryAfterMs: isFit ? 0 : retryAfterMs(rule, step, after, nowMs),
  };
}

function retryAfterMs(rule: Rule, step: Step, after: SpentState | undefined, nowMs: number): number | null {
  const { limit } = step;
  const needed = Math.max(1, costOf(step));
  // What has elapsed does not come back.
  if (needed > rule.capacity(limit) || limit.algorithm === "elapsed") return null;
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
