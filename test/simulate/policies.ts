// Policies that simulations are compared under: one for each algorithm, and for each way in which the end of a call counts.

import type { PolicyInput } from "tollgate";

type LimitInput = PolicyInput["limits"][number];

const policyOf = (...limits: LimitInput[]): PolicyInput => ({ version: 1, limits });

/** By name. */
export const POLICIES: Readonly<Record<string, PolicyInput>> = {
  budget: policyOf(
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 2, resetAfterIdle: "5m" },
    { name: "calls-per-session", per: ["session"], quota: 12, resetAfter: "5m" },
  ),
  "budget of arguments": policyOf({ name: "same-call", per: ["session", "tool", "args"], quota: 2 }),
  "budget of distinct values": policyOf({ name: "tools", per: ["session"], distinct: "tool", quota: 2 }),
  "fixed-window": policyOf({ name: "window", per: ["session"], algorithm: "fixed-window", quota: 3, window: "10s" }),
  "fixed-window of a calendar": policyOf({
    name: "day",
    per: ["session"],
    algorithm: "fixed-window",
    quota: 9,
    window: "day",
    timezone: "Europe/Berlin",
  }),
  "sliding-window": policyOf({
    name: "rolling",
    per: ["session"],
    algorithm: "sliding-window",
    quota: 4,
    window: "30s",
  }),
  "token-bucket": policyOf({
    name: "rate",
    per: ["session"],
    algorithm: "token-bucket",
    quota: 6,
    window: "1m",
    burst: 3,
  }),
  concurrency: policyOf({ name: "running", per: ["session"], algorithm: "concurrency", quota: 1 }),
  elapsed: policyOf({
    name: "time",
    per: ["session", "turn"],
    algorithm: "elapsed",
    quota: "30s",
    resetAfterIdle: "5m",
  }),
  "streak of errors": policyOf({
    name: "failures",
    per: ["session", "tool"],
    algorithm: "streak",
    of: "errors",
    quota: 2,
  }),
  "streak of results": policyOf({
    name: "same",
    per: ["session", "tool"],
    algorithm: "streak",
    of: "results",
    quota: 2,
  }),
  cooldown: policyOf({ name: "pause", per: ["session", "tool"], algorithm: "cooldown", pause: "5s" }),
  "tokens that are held": policyOf(
    { name: "tokens", per: ["session"], unit: "tokens", quota: 300, onError: "refund", resetAfterIdle: "3m" },
    { name: "calls", per: ["session", "turn"], quota: 20 },
  ),
  "calls that are refunded": policyOf({ name: "calls", per: ["session"], quota: 8, onError: "refund" }),
  "modes and missing dimensions": policyOf(
    { name: "users", per: ["user"], quota: 9, onMissing: "skip" },
    { name: "shared", per: ["user"], quota: 40, onMissing: "shared", mode: "warn" },
    { name: "counted", per: ["session"], quota: 5, mode: "shadow" },
  ),
  "all at once": {
    version: 1,
    onError: "refund",
    tools: { book: { cost: { tokens: 10 }, onError: "charge" }, search: { ignoreArgs: ["at"], group: "cheap" } },
    limits: [
      { name: "same-call", per: ["session", "tool", "args"], quota: 4 },
      { name: "group", per: ["session", "group"], quota: 30 },
      { name: "running", per: ["session"], algorithm: "concurrency", quota: 2 },
      { name: "failures", per: ["session"], algorithm: "streak", of: "errors", quota: 4 },
      { name: "tokens", per: ["session"], unit: "tokens", algorithm: "token-bucket", quota: 200, window: "1m" },
      { name: "pause", per: ["session", "turn"], algorithm: "cooldown", pause: "1s" },
    ],
  },
};

/** The unit that a policy counts beside calls; `null`: none. */
export function unitOf({ limits }: PolicyInput): string | null {
  return limits.some((limit) => "unit" in limit && limit.unit === "tokens") ? "tokens" : null;
}
