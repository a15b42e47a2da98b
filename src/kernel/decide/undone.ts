// Takes back what a request booked whose sender never got the answer. An answer that was given again since then stays.

import { shortList } from "../lua.ts";
import { type Contents, entryIn, stateOf } from "../bucket/contents.ts";
import { takenBack } from "../bucket/late.ts";
import { ended } from "../bucket/reservations.ts";
import type { Step, StepReply, StoreRequest, Wait } from "../request.ts";
import type { OnceState, Outcome, States, StoredState } from "../state.ts";
import { readStep } from "./judge.ts";
import { stepReply } from "./reply.ts";

export function undone(request: StoreRequest, states: States, nowMs: number): Outcome {
  const { steps, once, wait } = request;
  const atMs = request.atMs === undefined ? 0 : request.atMs;
  const answer = states[steps.length];
  const own = ownAnswer(request, answer, atMs);
  const isKept = own?.isTold === true;
  const replies = shortList<StepReply>();
  const next = shortList<StoredState | undefined>();
  let isSame = true;
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i] as Step;
    const judged = readStep(i, step, states[i], nowMs);
    judged.fits = true;
    judged.entry = undefined;
    const after = isKept ? judged : withoutBooking(step, judged, wait, atMs, nowMs);
    replies[i] = stepReply(judged, after, nowMs);
    const state = after === judged ? judged.state : stateOf(step.limit, after, judged.endMs, nowMs);
    if (state !== states[i]) isSame = false;
    next[i] = state;
  }
  if (once !== undefined) {
    const isTakenBack = own !== null && !isKept;
    if (isTakenBack) isSame = false;
    next[steps.length] = isTakenBack ? undefined : answer;
  }
  return { reply: { allowed: !isKept, nowMs, steps: replies }, next: isSame ? null : next };
}

/**
 * The kept answer of the booking that is undone; `null` for a later one, and for that of another request. Of several shards, another one
 * may have booked later. An earlier booking under the key would have been given again.
 */
function ownAnswer(request: StoreRequest, answer: StoredState | undefined, atMs: number): OnceState | null {
  if (answer === undefined || answer.kind !== "once" || answer.nowMs > atMs) return null;
  return request.once !== undefined && answer.request === request.once.request ? answer : null;
}

function withoutBooking(step: Step, before: Contents, wait: Wait | undefined, atMs: number, nowMs: number): Contents {
  const { limit, event } = step;
  const id = event.type === "hold" ? event.id : wait === undefined ? undefined : wait.id;
  const entry = id === undefined ? undefined : entryIn(before, id);
  if (entry !== undefined) return ended(limit, before, entry, 0, nowMs);
  if (event.type !== "charge" || event.seen !== undefined) return before;
  return takenBack(limit, before, event.cost, atMs, nowMs);
}
