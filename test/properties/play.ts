// Plays a schedule on a store and on the kernel, and compares each reply.

import assert from "node:assert/strict";
import { type Store, StoreError, type StoreReply, type StoreRequest } from "tollgate/store";
import { validReply } from "../../src/store/check.ts";
import { createModel, type createTallies, peekAt, type Turn, waitOf } from "./schedule.ts";

type Model = ReturnType<typeof createModel>;
export type Tallies = ReturnType<typeof createTallies>;

/** What a store takes for the time. */
export interface Time {
  advance(ms: number): unknown;
  /** Absent: only the store knows. */
  nowMs?(): number;
}

// In real time no retry waits longer.
const LONGEST_SLEEP_MS = 100;

/** Plays a schedule on a store and on the kernel, which is asked afterwards for the instant that the store decided at. */
export async function play(turns: readonly Turn[], store: Store, tallies: Tallies, time: Time) {
  const model = createModel(tallies);
  for (const { advanceMs, requests, retries } of turns) {
    await time.advance(advanceMs);
    const [first] = await both(store, model, requests, time);
    const [request] = requests;
    if (!retries || first === undefined || request === undefined) continue;
    const waitMs = first.replay === undefined ? waitOf(first) : null;
    if (waitMs === null || (time.nowMs === undefined && waitMs > LONGEST_SLEEP_MS)) continue;
    await time.advance(waitMs - 1);
    const [early] = await both(store, model, [peekAt(request)], time);
    await time.advance(1);
    const [exact] = await both(store, model, [peekAt(request)], time);
    const isExact = early?.allowed === false && exact?.allowed === true;
    if (time.nowMs !== undefined && isAlone(requests)) assert.ok(isExact, "the promised retry was not exact");
    if (!isExact) continue;
    for (const [i, { limit }] of request.steps.entries())
      if (!first.steps[i]?.allowed) tallies[limit.algorithm].retries++;
  }
}

/**
 * Whether nothing but time decides when a batch's only request passes: not a hold that it extends, which may end before,
 * and not what a forced one has booked in the buckets that were free.
 */
function isAlone(requests: readonly StoreRequest[]): boolean {
  const [request, ...others] = requests;
  if (request === undefined || others.length > 0 || request.mode === "force") return false;
  return request.steps.every(({ event }) => event.type !== "extend");
}

async function both(store: Store, model: Model, requests: readonly StoreRequest[], time: Time): Promise<StoreReply[]> {
  const replies = (await store.apply(requests)).map((found) => {
    const reply = validReply(found);
    if (StoreError.isInstance(reply)) throw reply;
    return reply;
  });
  // An answer that is given again says when it was decided first; where all are, one instant is as good as another.
  const decided = replies.find(({ replay }) => replay === undefined) ?? replies[0];
  assert.deepEqual(replies, model.apply(requests, time.nowMs?.() ?? decided?.nowMs ?? 0));
  return replies;
}
