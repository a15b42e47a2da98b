// What is said of a request of which parts were decided without the store.

import type { Degraded } from "../kernel/decision.ts";
import type { StoreReply } from "../kernel/request.ts";

/** A reply with the worst of what was decided without the store. */
export function withWorst(reply: StoreReply, degraded: readonly Degraded[]): StoreReply {
  const [first, ...others] = degraded;
  if (first === undefined) return reply;
  const worst = others.reduce<number | null>((most, { maxOvershoot: units }) => {
    return most === null || units === null ? null : Math.max(most, units);
  }, first.maxOvershoot);
  return { ...reply, degraded: { reason: first.reason, maxOvershoot: worst } };
}
