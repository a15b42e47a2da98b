// Tollgate as a contender: its limits, and a limiter with the default options.

import {
  createLimiter,
  type Decision,
  type Limiter,
  type LimiterOptions,
  type LimitInput,
  type PolicyInput,
} from "tollgate";
import type { Store } from "tollgate/store";
import { type Call, type Limit, WINDOW_SECONDS } from "./calls.ts";

/** Options that differ from the defaults. */
export type Settings = Pick<LimiterOptions, "failover">;

/** With the default options, and without the work that prepares for an outage of the store. */
export const TOLLGATE_WAYS: readonly { readonly name: string; readonly settings: Settings }[] = [
  { name: "Tollgate", settings: {} },
  { name: "Tollgate, failover: false", settings: { failover: false } },
];

export function policyOf(limits: readonly Limit[]): PolicyInput {
  const inputs = limits.map(({ name, per, quota }): LimitInput => {
    return { name, per, quota, algorithm: "fixed-window", window: `${WINDOW_SECONDS}s`, align: "first-use" };
  });
  return { version: 1, limits: inputs };
}

export const limiterOf = (limits: readonly Limit[], store: Store, settings: Settings = {}): Limiter =>
  createLimiter({ policy: policyOf(limits), store, ...settings });

/** A limiter, as one that is asked. */
export function tollgate(limits: readonly Limit[], store: Store, settings?: Settings) {
  const limiter = limiterOf(limits, store, settings);
  return { limiter, decide: (call: Call) => limiter.consume(call), allows, close: () => limiter.close() };
}

/**
 * Whether a call was admitted by the store that is measured.
 *
 * @throws Error when the store did not answer in time, so that the limiter decided without it
 */
export function allows({ allowed, degraded }: Decision): boolean {
  if (degraded === null) return allowed;
  throw new Error(`decided without the store (${degraded.reason}): something else keeps this machine busy`);
}
