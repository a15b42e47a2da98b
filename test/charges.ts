// The charges of a call, as the limiter makes them of its matches.

import type { Call } from "../src/kernel/call.ts";
import { type Charge, type Match, resolveMatches } from "../src/kernel/charge.ts";
import type { CompiledPolicy } from "../src/kernel/limit.ts";

/** What a call is charged, in policy order. A price of 0 leaves a limit out. */
export function chargesOf(matches: readonly Match[]): Charge[] {
  return matches.filter(({ price }) => price !== 0).map(({ price = 0, ...bucket }) => ({ ...bucket, cost: price }));
}

export function resolveCharges(policy: CompiledPolicy, prefix: string, call: Call): Charge[] {
  return chargesOf(resolveMatches(policy, prefix, call));
}
