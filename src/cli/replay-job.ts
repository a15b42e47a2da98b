// What a replay's worker does: opens its own store and decides the calls that it is dealt.

import { monotonicClock } from "../clock.ts";
import type { Call } from "../kernel/call.ts";
import { createLimiter } from "../limiter.ts";
import { parsePolicy } from "../policy-file/file.ts";
import { openStore } from "./store-url.ts";

export interface ReplaySettings {
  readonly policy: string;
  readonly store: string;
  readonly prefix: string;
}

/** What it answers for a call. */
export interface ReplayAnswer {
  readonly allowed: boolean;
  /** The limit that binds a denied call. */
  readonly deniedBy: string | null;
  readonly ms: number;
}

export async function replayJob(settings: ReplaySettings): Promise<(call: Call) => Promise<ReplayAnswer>> {
  const { store } = await openStore(settings.store);
  const limiter = createLimiter({
    policy: parsePolicy(settings.policy),
    store,
    prefix: settings.prefix,
    failover: false,
  });
  return async (call) => {
    const startedMs = monotonicClock.nowMs();
    // Like consume, but for limits that count until a call has ended, or that hold what it is priced at.
    const decision = await limiter.run(call, () => {});
    const ms = monotonicClock.nowMs() - startedMs;
    return { allowed: decision.allowed, deniedBy: decision.deniedBy, ms };
  };
}
