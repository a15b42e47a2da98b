// The decision on any request: what the fast path (decide-fast.ts) answers, it answers the same.

import { rulesOf } from "./algorithms/rules/registry.ts";
import { notAhead } from "./bucket/ahead.ts";
import { ownState, stateOf } from "./bucket/contents.ts";
import { MAX_ENTRIES } from "./bucket/entries.ts";
import { answerWith, onceNotAhead, onceOf, replayOf } from "./bucket/once.ts";
import { type Judged, judge, judgedAt } from "./decide/judge.ts";
import { stepReply } from "./decide/reply.ts";
import { booked } from "./decide/booked.ts";
import { undone } from "./decide/undone.ts";
import type { Step, StepReply, StoreReply, StoreRequest, Wait } from "./request.ts";
import type { OnceState, Outcome, States, StoredState } from "./state.ts";
import type { Writable } from "./writable.ts";

/** Decides any request on states as far as a right clock can have written them. */
export function decideRight(request: StoreRequest, states: States, nowMs: number): Outcome {
  const corrected = correctedAt(request, states, nowMs);
  const outcome = decideAny(request, corrected, nowMs);
  if (corrected === states) return outcome;
  const { reply, next } = outcome;
  const writesNoMore = next !== null || request.mode === "peek" || reply === null || reply.stale === true;
  // A denial, too, writes what it corrected: else each request would correct the bucket again, and it would never expire.
  return writesNoMore ? outcome : { reply, next: corrected };
}

/** The states as far as a right clock can have written them; the same list where nothing changes. */
function correctedAt(request: StoreRequest, states: States, nowMs: number): States {
  const { steps } = request;
  const answer = keptAnswer(request, states, nowMs);
  if (answer !== undefined) {
    // The request is answered without its buckets.
    const right = onceNotAhead(answer, nowMs);
    return right === answer ? states : copyOf(states, steps.length + 1, right);
  }
  let corrected: (StoredState | undefined)[] | null = null;
  for (let i = 0; i < steps.length; i++) {
    const { limit } = steps[i] as Step;
    const own = ownState(limit, states[i], nowMs);
    const right = own === undefined ? undefined : notAhead(limit, own, nowMs);
    if (right !== own) {
      const count = request.once === undefined ? steps.length : steps.length + 1;
      if (corrected === null) corrected = copyOf(states, count, states[count - 1]);
      corrected[i] = right;
    }
  }
  return corrected === null ? states : corrected;
}

/** A copy of the states of so many keys, with another one for the last key. */
function copyOf(states: States, count: number, last: StoredState | undefined): (StoredState | undefined)[] {
  const copy: (StoredState | undefined)[] = [];
  for (let i = 0; i < count - 1; i++) copy[i] = states[i];
  copy[count - 1] = last;
  return copy;
}

/** The kept answer for a request, unless that is to be undone. */
export function keptAnswer(request: StoreRequest, states: States, nowMs: number): OnceState | undefined {
  // The last key is that of the answer (`keysOf`).
  const answer = states[request.steps.length];
  if (answer === undefined || answer.kind !== "once" || request.mode === "undo") return undefined;
  return nowMs < answer.expiresAtMs ? answer : undefined;
}

/** Decides any request on states of a right clock. */
export function decideAny(request: StoreRequest, states: States, nowMs: number): Outcome {
  const { mode, steps, wait } = request;
  if (mode === "undo") return undone(request, states, nowMs);
  const answer = keptAnswer(request, states, nowMs);
  if (answer !== undefined) return answeredAgain(answer, states, steps.length);
  if (isStale(steps, nowMs)) return { reply: { allowed: false, stale: true, nowMs, steps: [] }, next: null };
  let allowed = true;
  let waitMs = 0;
  for (let i = 0; i < steps.length; i++) {
    const each = judge(i, steps[i] as Step, states[i], wait, nowMs);
    waitMs = Math.max(waitMs, each.waitMs);
    if (!each.fits && each.waitMs === 0 && each.step.shadow !== true) allowed = false;
  }
  // Of a peek: its reply says how the buckets would stand, and nothing is written.
  const isBooked = allowed || mode === "force";
  return allowed && wait !== undefined && waitMs > 0
    ? conclude(request, states, allowed, isBooked, waitMs, wait, nowMs)
    : conclude(request, states, allowed, isBooked, 0, undefined, nowMs);
}

function answeredAgain(answer: OnceState, states: States, count: number): Outcome {
  const reply = replayOf(answer);
  if (answer.isTold) return { reply, next: null };
  return { reply, next: copyOf(states, count + 1, answerWith(answer, answer.expiresAtMs, true)) };
}

function isStale(steps: readonly Step[], nowMs: number): boolean {
  for (const { limit } of steps) {
    const rules = rulesOf(limit);
    if (rules.isStale !== undefined && rules.isStale(limit, nowMs)) return true;
  }
  return false;
}

/**
 * Books what has been judged, where it is to be, and replies.
 *
 * @param wait the request's wait, where its turn is in `waitMs`
 */
function conclude(
  request: StoreRequest,
  states: States,
  allowed: boolean,
  isBooked: boolean,
  waitMs: number,
  wait: Wait | undefined,
  nowMs: number,
): Outcome {
  const { mode, steps, once } = request;
  const turn = wait === undefined ? null : { id: wait.id, atMs: nowMs + waitMs };
  const isKept = isBooked && mode !== "peek";
  const replies: StepReply[] = [];
  const next: (StoredState | undefined)[] = [];
  let isSame = true;
  let isFirm = !isBooked;
  for (let i = 0; i < steps.length; i++) {
    const each = judgedAt(i);
    if (isFirm) isFirm = lastsUntilTimePasses(each);
    if (turn !== null && each.waitMs > 0) each.fits = true;
    const after = isBooked ? booked(each, turn, request.atMs, nowMs) : each;
    if (after.entries.length > MAX_ENTRIES) return { reply: null, next: null };
    replies[i] = stepReply(each, after, nowMs);
    if (isKept) {
      // One that is not booked on stays as it is, also where its state is of another algorithm.
      const state = after === each ? states[i] : stateOf(each.step.limit, after, each.endMs, nowMs);
      if (state !== states[i]) isSame = false;
      next[i] = state;
    }
  }
  const reply: Writable<StoreReply> = { allowed, nowMs, steps: replies };
  if (turn !== null) reply.waitMs = waitMs;
  if (isFirm) reply.firm = true;
  if (!isKept) return { reply, next: null };
  if (once === undefined) return { reply, next: isSame ? null : next };
  next[steps.length] = onceOf(request, once.request, reply);
  return { reply, next };
}

/** Whether a step denies nothing, or denies until time has passed. */
function lastsUntilTimePasses(each: Judged): boolean {
  const { limit, shadow } = each.step;
  return each.fits || shadow === true || (each.entries.length === 0 && rulesOf(limit).isFirm);
}
