// What the tests of holds share: a policy with a limit of each kind, and a limiter at a time that tests move.

import { type LimiterEvent, type LimiterOptions, MisuseError, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { createHostedLimiter } from "../../src/limiter.ts";

export const POLICY: PolicyInput = {
  version: 1,
  tools: { book: { cost: { usd_micros: 300 } } },
  limits: [
    { name: "calls", per: ["session"], quota: 5, resetAfterIdle: "1h" },
    { name: "tokens", per: ["session"], unit: "tokens", algorithm: "fixed-window", window: "1h", quota: 1_000 },
    { name: "money", per: ["user"], onMissing: "skip", unit: "usd_micros", quota: 1_000, hold: { onExpiry: "refund" } },
    {
      name: "at-once",
      per: ["session"],
      quotas: { session: { s2: 1 } },
      quota: "unlimited",
      algorithm: "concurrency",
      hold: { lease: "1m" },
    },
  ],
};

/** The same store, each of whose answers goes through an `apply` that a test may replace. */
export function watchable(store: Store): Pick<Store, "close"> & { apply: Store["apply"] } {
  return { apply: (...asked) => store.apply(...asked), close: () => store.close() };
}

export function limiterFor(options: Partial<LimiterOptions> = {}) {
  const clock = fakeClock(Date.UTC(2030, 0, 1));
  const events: LimiterEvent[] = [];
  const store = options.store ?? memoryStore({ clock });
  const limiter = createHostedLimiter({ policy: POLICY, onEvent: (event) => events.push(event), ...options, store });
  /** Units used of each limit of a session, but for unlimited ones. */
  const used = async (session = "s1") => {
    const usages = (await limiter.usage({ session, user: "u1" })).filter(({ quota }) => quota !== null);
    return Object.fromEntries(usages.map(({ limit, used }) => [limit, used]));
  };
  return { clock, events, limiter, store, used };
}

export const isMisuse = (code: string, path?: string) => (error: unknown) =>
  MisuseError.isInstance(error) && error.code === code && (path === undefined || error.faults[0]?.path === path);
