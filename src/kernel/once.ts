// An answer that is kept, so that a request that is sent again gets it once more and is booked once.

import type { StepReply, StoreReply, StoreRequest } from "./decide.ts";
import { REMEMBERED_MS } from "./holds.ts";

/** How a request is known again. */
export interface Once {
  /** The key under which the answer is kept, beside the buckets. */
  readonly key: string;
  /** 1 to 64 letters, digits, `_` or `-`: what a request must be alike in to be the same. */
  readonly request: string;
}

/** The answer for a request that was booked, for ten minutes from then on. */
export interface OnceState extends Replay {
  readonly kind: "once";
  readonly expiresAtMs: number;
  readonly nowMs: number;
  readonly allowed: boolean;
  /** Of an answer that took a place; else 0. */
  readonly waitMs: number;
  readonly steps: readonly StepReply[];
  /** Whether it was given again: somebody may act by it, so that it is not undone. */
  readonly isTold: boolean;
}

/** What an answer that is given again repeats. */
export interface Replay {
  /** What the first request was alike in. */
  readonly request: string;
  /** The first request's hold, or `null`. */
  readonly hold: string | null;
  /** Units that each step of the first request took. */
  readonly units: readonly number[];
}

/** The kept answer for a request. */
export function onceOf({ steps }: StoreRequest, request: string, reply: StoreReply): OnceState {
  const { nowMs, allowed, waitMs = 0 } = reply;
  const events = steps.map(({ event }) => event);
  const hold = events.find((event) => event.type === "hold")?.id ?? null;
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

/** A kept answer, given again. */
export function replayOf({ nowMs, allowed, waitMs, steps, request, hold, units }: OnceState): StoreReply {
  return { allowed, nowMs, ...(waitMs === 0 ? {} : { waitMs }), steps, replay: { request, hold, units } };
}
