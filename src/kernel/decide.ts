// The decision itself: states in, a reply and states out. Memory and SQLite run it; every other store must equal it.
// It knows no call, no policy and no clock: a request names buckets, limits and costs, and the store names the time.

import { decideAny } from "./decide-any.ts";
import { decidePlain } from "./decide-fast.ts";
import type { StoreRequest } from "./request.ts";
import type { Outcome, States } from "./state.ts";

export { decideAny, keptAnswer } from "./decide-any.ts";
export { replyPlain } from "./decide-fast.ts";

/** The keys that a request reads and writes: its buckets in the order of its steps, then that of its answer. */
export function keysOf({ mode, steps, once }: StoreRequest): string[] {
  const keys = steps.map(({ bucket }) => bucket);
  if (once !== undefined && mode !== "peek") keys.push(once.key);
  return keys;
}

/**
 * Decides one request.
 *
 * @param request what is asked
 * @param states what the store holds for each of the request's keys, in the order of `keysOf`; expired states are fine
 * @param nowMs the store's time, an integer, read once for all requests of a batch
 */
export function decide(request: StoreRequest, states: States, nowMs: number): Outcome {
  return decidePlain(request, states, nowMs) ?? decideAny(request, states, nowMs);
}
