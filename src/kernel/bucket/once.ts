// An answer that is kept, so that a request that is sent again gets it once more and is booked once.

import { REMEMBERED_MS } from "./entries.ts";
import type { StoreReply, StoreRequest } from "../request.ts";
import type { OnceState } from "../state.ts";

export function onceOf({ steps }: StoreRequest, request: string, reply: StoreReply): OnceState {
  const { nowMs, allowed, waitMs = 0 } = reply;
  const events = steps.map(({ event }) => event);
  const hold = events.find((event) => event.type === "hold")?.id ?? null;
  // The units of each step; a charge calls them its cost.
  const units = events.map((event) => ("cost" in event ? event.cost : "units" in event ? event.units : 0));
  const expiresAtMs = nowMs + waitMs + REMEMBERED_MS;
  // Which grants there were is not kept.
  const kept = reply.steps.map(({ grants: _, ...step }) => step);
  return { kind: "once", expiresAtMs, nowMs, allowed, waitMs, request, hold, units, steps: kept, isTold: false };
}

/** A kept answer that ends at the latest when one would that was given now: a clock that was ahead wrote a later end. */
export function onceNotAhead(state: OnceState, nowMs: number): OnceState {
  const latestMs = nowMs + state.waitMs + REMEMBERED_MS;
  return state.expiresAtMs > latestMs ? { ...state, expiresAtMs: latestMs } : state;
}

export function replayOf({ nowMs, allowed, waitMs, steps, request, hold, units }: OnceState): StoreReply {
  return { allowed, nowMs, ...(waitMs === 0 ? {} : { waitMs }), steps, replay: { request, hold, units } };
}
