// Tollgate as a contender: its limits, and a limiter with the options that its users have by default.

import {
  createLimiter,
  type Decision,
  type Limiter,
  type LimiterOptions,
  type LimitInput,
  type PolicyInput,
} from "tollgate";
import type { Store } from "tollgate/store";
import { askAll, type Call, type Limit, WINDOW_SECONDS } from "./calls.ts";
import type { Opened } from "./race.ts";

/** What differs from the defaults. */
export type Settings = Pick<LimiterOptions, "failover">;

export function policyOf(limits: readonly Limit[]): PolicyInput {
  const inputs = limits.map(({ name, per, quota }): LimitInput => {
    return { name, per, quota, algorithm: "fixed-window", window: `${WINDOW_SECONDS}s`, align: "first-use" };
  });
  return { version: 1, limits: inputs };
}

export const limiterOf = (limits: readonly Limit[], store: Store, settings: Settings = {}): Limiter =>
  createLimiter({ policy: policyOf(limits), store, ...settings });

/**
 * Whether a call was admitted, by the store that was to be measured.
 *
 * @throws Error when the store had not answered in time, so that the limiter decided without it
 */
export function allows({ allowed, degraded }: Decision): boolean {
  if (degraded === null) return allowed;
  throw new Error(`decided without the store (${degraded.reason}): something else keeps this machine busy`);
}

export function tollgate(
  calls: readonly Call[],
  limits: readonly Limit[],
  store: Store,
  inFlight: number,
  settings?: Settings,
): Opened {
  const limiter = limiterOf(limits, store, settings);
  const decide = (call: Call) => limiter.consume(call);
  return { run: () => askAll(calls, inFlight, { decide, allows }), close: () => limiter.close() };
}
