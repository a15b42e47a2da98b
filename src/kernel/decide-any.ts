// The decision on any request: what the fast path (decide-fast.ts) answers, it answers the same.

import { shortList } from "./lua.ts";
import { rulesOf } from "./algorithms/rules/registry.ts";
import { stateOf } from "./bucket/contents.ts";
import { MAX_ENTRIES } from "./bucket/entries.ts";
import { answerWith, onceNotAhead, onceOf, replayOf } from "./bucket/once.ts";
import { type Judged, judge, judgedAt } from "./decide/judge.ts";
import { stepReply } from "./decide/reply.ts";
import { booked } from "./decide/booked.ts";
import { undone } from "./decide/undone.ts";
import type { Step, StepReply, StoreReply, StoreRequest } from "./request.ts";
import type { OnceState, Outcome, States, StoredState } from "./state.ts";
import type { Writable } from "./writable.ts";

/** The kept answer for a request, unless that is to be undone. */
export function keptAnswer(request: StoreRequest, states: States, nowMs: number): OnceState | undefined {
  // The last key is that of the answer (`keysOf`).
  const answer = states[request.steps.length];
  if (answer === undefined || answer.kind !== "once" || request.mode === "undo") return undefined;
  return nowMs < answer.expiresAtMs ? answer : undefined;
}

/**
 * Decides any request. Instants that a clock wrote which was ahead are corrected first, and the states written so, also where
 * nothing is booked: else each request would correct the bucket again, and it would never expire.
 */
export function decideAny(request: StoreRequest, states: States, nowMs: number): Outcome {
  const { mode, steps, wait } = request;
  if (mode === "undo") return undone(request, states, nowMs);
  const answer = keptAnswer(request, states, nowMs);
  if (answer !== undefined) return answeredAgain(answer, states, steps.length, nowMs);
  if (isStale(steps, nowMs)) return { reply: { allowed: false, stale: true, nowMs, steps: [] }, next: null };
  let allowed = true;
  let waitMs = 0;
  for (let i = 0; i < steps.length; i++) {
    const each = judge(i, steps[i] as Step, states[i], wait, nowMs);
    if (!each.fits) {
      if (each.waitMs > waitMs) waitMs = each.waitMs;
      else if (each.waitMs === 0 && each.step.shadow !== true) allowed = false;
    }
  }
  // Of a peek: its reply says how the buckets would stand, and nothing is written.
  const isBooked = allowed || mode === "force";
  return conclude(request, states, allowed, isBooked, allowed ? waitMs : 0, nowMs);
}

/** Gives a kept answer again, without its buckets. */
function answeredAgain(answer: OnceState, states: States, count: number, nowMs: number): Outcome {
  const right = onceNotAhead(answer, nowMs);
  const reply = replayOf(right);
  const told = right.isTold ? right : answerWith(right, right.expiresAtMs, true);
  if (told === answer) return { reply, next: null };
  const next = shortList<StoredState | undefined>();
  for (let i = 0; i < count; i++) next[i] = states[i];
  next[count] = told;
  return { reply, next };
}

function isStale(steps: readonly Step[], nowMs: number): boolean {
  for (const { limit } of steps) {
    const rules = rulesOf(limit);
    if (rules.isStale?.(limit, nowMs) === true) return true;
  }
  return false;
}

/**
 * Books what has been judged, where it is to be, and replies.
 *
 * @param waitMs until the request's turn; 0 where it does not wait
 */
function conclude(
  request: StoreRequest,
  states: States,
  allowed: boolean,
  isBooked: boolean,
  waitMs: number,
  nowMs: number,
): Outcome {
  const { mode, steps, once, wait } = request;
  const turn = waitMs === 0 || wait === undefined ? null : { id: wait.id, atMs: nowMs + waitMs };
  const isKept = isBooked && mode !== "peek";
  const replies = shortList<StepReply>();
  const next = shortList<StoredState | undefined>();
  let isSame = true;
  let isFirm = !isBooked;
  for (let i = 0; i < steps.length; i++) {
    const each = judgedAt(i);
    if (isFirm) isFirm = lastsUntilTimePasses(each);
    if (turn !== null && each.waitMs > 0) each.fits = true;
    const after = isBooked ? booked(each, turn, request.atMs, nowMs) : each;
    if (after.entries.length > MAX_ENTRIES) return { reply: null, next: null };
    replies[i] = stepReply(each, after, nowMs);
    // One that is not booked on stays as it is, also where its state is of another algorithm.
    const isUntouched = after === each || !isKept;
    const state = isUntouched ? each.state : stateOf(each.step.limit, after, each.endMs, nowMs);
    if (state !== states[i]) isSame = false;
    next[i] = state;
  }
  const reply: Writable<StoreReply> = { allowed, nowMs, steps: replies };
  if (turn !== null) reply.waitMs = waitMs;
  if (isFirm) reply.firm = true;
  if (once !== undefined) next[steps.length] = isKept ? onceOf(request, once.request, reply) : states[steps.length];
  const isWritten = mode !== "peek" && (!isSame || (isKept && once !== undefined));
  return { reply, next: isWritten ? next : null };
}

/** Whether a step denies nothing, or denies until time has passed. */
function lastsUntilTimePasses(each: Judged): boolean {
  const { limit, shadow } = each.step;
  return each.fits || shadow === true || (each.entries.length === 0 && rulesOf(limit).isFirm);
}
