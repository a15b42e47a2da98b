// The fast path of decide.ts for what nearly every request is: charges alone, on buckets without entries. It makes no answer
// of its own: decide.ts gives the same for such a request, which a test compares.

import { type AnyRules, type LimitSpec, rulesOf, type SpentState } from "./algorithms/rules/registry.ts";
import { liveAt } from "./bucket/expiry.ts";
import { spentFreeAfterMs } from "./bucket/free-after.ts";
import { unitsFor } from "./decide/judge.ts";
import type { Step, StepEvent, StepReply, StoreReply, StoreRequest } from "./request.ts";
import type { BucketState, Outcome, States, StoredState } from "./state.ts";

/** Decides a request of charges alone; `null` where decide.ts has to. */
export function decidePlain(request: StoreRequest, states: States, nowMs: number): Outcome | null {
  const next = states.slice();
  const reply = replyPlain(request, next, nowMs);
  if (reply === null) return null;
  for (let i = 0; i < next.length; i++) if (next[i] !== states[i]) return { reply, next };
  return { reply, next: null };
}

/**
 * The reply to a request of charges alone; `null` where decide.ts has to make it.
 *
 * @param states in the order of the steps. What is to be kept instead is put in their places
 */
export function replyPlain(
  { mode, steps, once, wait }: StoreRequest,
  states: (StoredState | undefined)[],
  nowMs: number,
): StoreReply | null {
  if (mode !== "judge" || once !== undefined || wait !== undefined) return null;
  let allowed = true;
  for (let i = 0; i < steps.length; i++) {
    const { limit, event, shadow } = steps[i] as Step;
    const rules = rulesOf(limit);
    const live = liveOf(rules, states[i], nowMs);
    if (!isPlainCharge(event) || !isPlainBucket(rules, limit, live, nowMs)) return null;
    if (shadow !== true && !fitsIn(rules, limit, live, event.cost, nowMs)) allowed = false;
  }
  return decideSteps(steps, states, nowMs, allowed);
}

/** @param allowed false: some step does not fit, and nothing is charged */
function decideSteps(
  steps: readonly Step[],
  states: (StoredState | undefined)[],
  nowMs: number,
  allowed: boolean,
): StoreReply {
  const replies = new Array<StepReply>(steps.length);
  let isFirm = !allowed;
  for (let i = 0; i < steps.length; i++) {
    const { limit, event, shadow } = steps[i] as Step;
    const { cost } = event as PlainCharge;
    const rules = rulesOf(limit);
    let live = liveOf(rules, states[i], nowMs) as SpentState | undefined;
    const mayDeny = shadow !== true;
    const fits = (allowed && mayDeny) || fitsIn(rules, limit, live, cost, nowMs);
    if (!fits && mayDeny) isFirm &&= rules.isFirm;
    if (allowed && (cost > 0 || !rules.needsCost)) {
      live = liveAt(rules.book(limit, live, cost, nowMs), nowMs);
      states[i] = live;
    }
    replies[i] = replyOf(rules, limit, live, cost, fits, nowMs);
  }
  // Not by a copy with one key more: the engine forgets its shape, and with it all that it compiled for it.
  return isFirm ? { allowed, nowMs, steps: replies, firm: true } : { allowed, nowMs, steps: replies };
}

type PlainCharge = Extract<StepEvent, { readonly type: "charge" }>;

function isPlainCharge(event: StepEvent): event is PlainCharge {
  return event.type === "charge" && event.seen === undefined;
}

/** Whether a bucket has no entries, and neither its state nor its limit's windows are of another time. */
function isPlainBucket(
  rules: AnyRules,
  limit: LimitSpec,
  live: BucketState | undefined,
  nowMs: number,
): live is SpentState | undefined {
  if (rules.isStale?.(limit, nowMs) === true) return false;
  return live === undefined || (live.kind !== "held" && rules.notAhead(limit, live, nowMs) === live);
}

/** What lies in a bucket: entries, or what the rules that judge it have counted. */
function liveOf({ kind }: AnyRules, state: StoredState | undefined, nowMs: number): BucketState | undefined {
  if (state === undefined || nowMs >= state.expiresAtMs) return undefined;
  return state.kind === kind || state.kind === "held" ? (state as BucketState) : undefined;
}

function fitsIn(rules: AnyRules, limit: LimitSpec, live: SpentState | undefined, cost: number, nowMs: number): boolean {
  return unitsFor(cost) <= rules.capacity(limit) - rules.used(limit, live, nowMs);
}

function replyOf(
  rules: AnyRules,
  limit: LimitSpec,
  after: SpentState | undefined,
  cost: number,
  fits: boolean,
  nowMs: number,
): StepReply {
  const capacity = rules.capacity(limit);
  const needed = unitsFor(cost);
  const canPass = needed <= capacity && rules.comesBack;
  return {
    allowed: fits,
    used: rules.used(limit, after, nowMs),
    resetAfterMs: spentFreeAfterMs(rules, limit, after, capacity, nowMs),
    retryAfterMs: fits ? 0 : canPass ? spentFreeAfterMs(rules, limit, after, needed, nowMs) : null,
  };
}
