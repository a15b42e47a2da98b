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
 * @param areOwn whether nothing else refers to the states, so that a booking may change them in place
 */
export function replyPlain(
  { mode, steps, once, wait }: StoreRequest,
  states: (StoredState | undefined)[],
  nowMs: number,
  areOwn?: boolean,
): StoreReply | null {
  if (mode !== "judge" || once !== undefined || wait !== undefined) return null;
  let allowed = true;
  let isFirm = true;
  // Of the step that was judged last: a single one is charged without reading it again, 4 % of a call in memory.
  let rules!: AnyRules;
  let live: BucketState | undefined;
  let fits!: boolean;
  for (let i = 0; i < steps.length; i++) {
    const { limit, event, shadow } = steps[i] as Step;
    rules = rulesOf(limit);
    live = liveOf(rules, states[i], nowMs);
    if (!isPlainCharge(event) || !isPlainBucket(rules, limit, live, nowMs)) return null;
    fits = fitsIn(rules, limit, live, event.cost, nowMs);
    if (fits || shadow) continue;
    allowed = false;
    isFirm &&= rules.isFirm;
  }
  const replies = new Array<StepReply>(steps.length);
  for (let i = 0; i < steps.length; i++) {
    const { limit, event, shadow } = steps[i] as Step;
    const { cost } = event as PlainCharge;
    if (steps.length > 1) {
      rules = rulesOf(limit);
      live = liveOf(rules, states[i], nowMs);
      fits = (allowed && !shadow) || fitsIn(rules, limit, live as SpentState | undefined, cost, nowMs);
    }
    let spent = live as SpentState | undefined;
    if (allowed && (cost > 0 || !rules.needsCost)) {
      spent = states[i] = liveAt(rules.book(limit, spent, cost, nowMs, areOwn ? spent : undefined), nowMs);
    }
    replies[i] = replyOf(rules, limit, spent, cost, fits, nowMs);
  }
  // Not by a copy with one key more: the engine forgets its shape, and with it all that it compiled for it.
  return !allowed && isFirm ? { allowed, nowMs, steps: replies, firm: true } : { allowed, nowMs, steps: replies };
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
