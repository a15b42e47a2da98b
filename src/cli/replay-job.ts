// What a replay's worker does: opens its own store and decides the calls that it is dealt.

import { monotonicClock } from "../clock.ts";
import type { Call } from "../kernel/call.ts";
import { createRemoteLimiter } from "../client.ts";
import { createLimiter, type Limiter } from "../limiter.ts";
import { parsePolicy } from "../policy-file/text.ts";
import { openStore } from "./store-url.ts";

export interface ReplaySettings {
  readonly policy: string;
  readonly store: string;
  readonly prefix: string;
  /** The service that decides in place of the store. */
  readonly url?: string | undefined;
}

/** A call, and how it ends. */
export interface ReplayCall {
  readonly call: Call;
  readonly hasFailed: boolean;
  readonly result: unknown;
}

/** What it answers for a call. */
export interface ReplayAnswer {
  readonly allowed: boolean;
  /** The limit that binds a denied call. */
  readonly deniedBy: string | null;
  readonly ms: number;
}

/** How long the service may take to answer a call, ms. */
const SERVICE_ANSWERS_MS = 10_000;

/** A limiter that asks a service. */
export function serviceAt(url: string): Limiter {
  return createRemoteLimiter({ url, apiKey: process.env.TOLLGATE_API_KEY, deadlineMs: SERVICE_ANSWERS_MS });
}

async function limiterOf({ policy, store: storeUrl, prefix }: ReplaySettings): Promise<Limiter> {
  const { store } = await openStore(storeUrl);
  return createLimiter({ policy: parsePolicy(policy), store, prefix, failover: false });
}

export async function replayJob(settings: ReplaySettings): Promise<(traced: ReplayCall) => Promise<ReplayAnswer>> {
  const limiter = settings.url === undefined ? await limiterOf(settings) : serviceAt(settings.url);
  return async ({ call, hasFailed, result }) => {
    const startedMs = monotonicClock.nowMs();
    // Like consume, but for limits that count until a call has ended, or that hold what it is priced at.
    const decision = await decide(limiter, call, () => {
      if (hasFailed) throw new CallFailed();
      return result;
    });
    const ms = monotonicClock.nowMs() - startedMs;
    return { ...decision, ms };
  };
}

/** What a call that failed throws. */
class CallFailed extends Error {}

/** A call that fails was allowed. */
async function decide(limiter: Limiter, call: Call, work: () => unknown): Promise<Omit<ReplayAnswer, "ms">> {
  try {
    const { allowed, deniedBy } = await limiter.run(call, work);
    return { allowed, deniedBy };
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    return { allowed: true, deniedBy: null };
  }
}
