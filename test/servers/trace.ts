// One trace, its policy, and what a plain sequential count makes of it.

import assert from "node:assert/strict";
import { createLimiter, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { countSequentially, syntheticTrace } from "../e2e/traces.ts";

export const trace = syntheticTrace(11, 40);
export const expected = countSequentially(trace, 2, 4);
export const POLICY = {
  version: 1,
  limits: [
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 2, resetAfterIdle: "1h" },
    { name: "tool-per-session", per: ["session", "tool"], quota: 4, resetAfterIdle: "24h" },
  ],
} as const satisfies PolicyInput;

/**
 * Plays the trace on three limiters at once. Sessions run side by side, each session's calls in their order and by turns
 * through the limiters.
 */
export async function playTrace(open: () => Store): Promise<void> {
  const limiters = [1, 2, 3].map(() =>
    createLimiter({ policy: POLICY, store: open(), failover: { deadlineMs: 10_000 } }),
  );
  let allowed = 0;
  const bySession = Map.groupBy(trace.entries(), ([, { session }]) => session);
  await Promise.all(
    [...bySession.values()].map(async (calls) => {
      for (const [i, call] of calls) if ((await limiters[i % 3]?.consume(call))?.allowed) allowed++;
    }),
  );
  // A limiter that is open would give a store that is emptied for the next one back what it has seen.
  await Promise.all(limiters.map((limiter) => limiter.close()));
  assert.equal(allowed, expected.allowed);
}
