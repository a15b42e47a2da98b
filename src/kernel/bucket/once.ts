// An answer that is kept, so that a request that is sent again gets it once more and is booked once.

import { shortList } from "../lua.ts";
import type { Step, StepEvent, StepReply, StoreReply, StoreRequest } from "../request.ts";
import type { OnceState } from "../state.ts";
import type { Writable } from "../writable.ts";
import { REMEMBERED_MS } from "./entries.ts";

export function onceOf(request: StoreRequest, fingerprint: string, reply: StoreReply): OnceState {
  const { nowMs, allowed } = reply;
  const waitMs = reply.waitMs === undefined ? 0 : reply.waitMs;
  const units = shortList<number>();
  const steps = shortList<StepReply>();
  let hold: string | null = null;
  for (let i = 0; i < request.steps.length; i++) {
    const { event } = request.steps[i] as Step;
    if (hold === null && event.type === "hold") hold = event.id;
    units.push(unitsOf(event));
    steps.push(withoutGrants(reply.steps[i] as StepReply));
  }
  const expiresAtMs = nowMs + waitMs + REMEMBERED_MS;
  return { kind: "once", expiresAtMs, nowMs, allowed, waitMs, request: fingerprint, hold, units, steps, isTold: false };
}

/** The units of a step; a charge calls them its cost. */
function unitsOf(event: StepEvent): number {
  const { type } = event;
  if (type === "charge") return event.cost;
  return type === "hold" || type === "settle" || type === "grant" || type === "raise" ? event.units : 0;
}

/** Which grants there were is not kept. */
function withoutGrants(reply: StepReply): StepReply {
  if (reply.grants === undefined) return reply;
  const { allowed, used, resetAfterMs, retryAfterMs } = reply;
  const kept: Writable<StepReply> = { allowed, used, resetAfterMs, retryAfterMs };
  if (reply.granted !== undefined) kept.granted = reply.granted;
  if (reply.found !== undefined) kept.found = reply.found;
  return kept;
}

/** A kept answer that ends at the latest when one would that was given now: a clock that was ahead wrote a later end. */
export function onceNotAhead(state: OnceState, nowMs: number): OnceState {
  const latestMs = nowMs + state.waitMs + REMEMBERED_MS;
  return state.expiresAtMs > latestMs ? answerWith(state, latestMs, state.isTold) : state;
}

/** The answer with another end, and told or not. */
export function answerWith(state: OnceState, expiresAtMs: number, isTold: boolean): OnceState {
  const { nowMs, allowed, waitMs, request, hold, units, steps } = state;
  return { kind: "once", expiresAtMs, nowMs, allowed, waitMs, request, hold, units, steps, isTold };
}

export function replayOf(state: OnceState): StoreReply {
  const { nowMs, allowed, waitMs, steps, request, hold, units } = state;
  const replay = { request, hold, units };
  return waitMs === 0 ? { allowed, nowMs, steps, replay } : { allowed, nowMs, waitMs, steps, replay };
}
