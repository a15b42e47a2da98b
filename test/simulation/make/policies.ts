// Policies of schedules: some limits of each kind, small enough that calls use them up, and what a reload makes of them.

import type { LimitInput, PolicyInput } from "tollgate";
import type { Random } from "../random.ts";

/** What tools a session calls most. `job` is one whose calls hold a slot. */
export const JOB = "job";

type Kind = "shared" | "session" | "tokens" | "turn" | "rate" | "sliding" | "short" | "slots";

/** How often a policy has a limit of each kind. */
const CHANCES: Readonly<Record<Kind, number>> = {
  shared: 0.7,
  session: 0.6,
  tokens: 0.35,
  turn: 0.2,
  rate: 0.2,
  sliding: 0.15,
  short: 0.15,
  slots: 0.25,
};

export function makePolicy(random: Random): PolicyInput {
  const kinds = Object.keys(CHANCES) as Kind[];
  const chosen = kinds.filter((kind) => random.chance(CHANCES[kind]));
  const limits = (chosen.length === 0 ? (["shared"] as const) : chosen).map((kind) => limitOf(kind, random));
  return { version: 1, limits, tools: { think: { cost: { tokens: 5 } }, [JOB]: { cost: { tokens: 20 } } } };
}

function limitOf(kind: Kind, random: Random): LimitInput {
  const rules = {
    ...(random.chance(0.3) ? { onStoreError: random.pick(["share", "local", "deny", "allow"] as const) } : {}),
    ...(random.chance(0.15) ? { mode: random.pick(["warn", "shadow"] as const) } : {}),
  };
  switch (kind) {
    case "shared": {
      const quota = random.pick([10, 40, 100, 300, 1_000]);
      const borrow = !("mode" in rules) && random.chance(0.5) ? { borrow: "auto" as const } : {};
      return {
        name: kind,
        per: random.pick([[], ["tool"]]),
        algorithm: "fixed-window",
        window: "1h",
        quota,
        ...borrow,
        ...rules,
      };
    }
    case "session":
      return { name: kind, per: ["session"], quota: random.whole(3, 12), resetAfterIdle: "1h", ...rules };
    case "tokens": {
      const quota = random.pick([40, 200, 2_000]);
      return { name: kind, per: ["user"], unit: "tokens", algorithm: "fixed-window", window: "1h", quota, ...rules };
    }
    case "turn":
      return { name: kind, per: ["session", "turn", "tool"], quota: random.whole(1, 3), ...rules };
    case "rate": {
      const quota = random.whole(2, 20);
      return {
        name: kind,
        per: random.pick([[], ["tool"]]),
        algorithm: "token-bucket",
        quota,
        window: "1s",
        burst: random.whole(2, 30),
        ...rules,
      };
    }
    case "sliding":
      return {
        name: kind,
        per: ["user"],
        algorithm: "sliding-window",
        window: "10s",
        quota: random.whole(3, 20),
        ...rules,
      };
    case "short":
      return {
        name: kind,
        per: ["tool"],
        algorithm: "fixed-window",
        window: "5s",
        quota: random.whole(3, 20),
        ...rules,
      };
    case "slots":
      return {
        name: kind,
        per: random.pick([[], ["session"]]),
        when: { tool: [JOB] },
        algorithm: "concurrency",
        quota: random.whole(1, 4),
        hold: { lease: random.pick(["2s", "10s"]) },
        ...rules,
      };
  }
}

/** A policy that a reload brings: one limit is another one. */
export function changedPolicy(policy: PolicyInput, random: Random): PolicyInput {
  const algorithms = random.stream("algorithms");
  const which = random.whole(0, policy.limits.length - 1);
  const change = algorithms.chance(0.1)
    ? () => withOtherAlgorithm(policy.limits[which] as LimitInput, algorithms)
    : changedLimit;
  return { ...policy, limits: policy.limits.map((limit, i) => (i === which ? change(limit, random) : limit)) };
}

function changedLimit(limit: LimitInput, random: Random): LimitInput {
  const { quota } = limit as { quota: number };
  const how = random.weighted({ stop: 3, less: 2, more: 2, mode: 1, onStoreError: 2, override: 2 });
  switch (how) {
    case "stop":
      return { ...limit, quota: 0 } as LimitInput;
    case "less":
      return { ...limit, quota: Math.max(1, Math.floor(quota / 2)) } as LimitInput;
    case "more":
      return { ...limit, quota: quota * 2 } as LimitInput;
    case "mode": {
      // A limit that denies nothing cannot lend.
      const { borrow: _, ...lent } = limit as LimitInput & { borrow?: "auto" };
      return { ...lent, mode: random.pick(["enforce", "warn", "shadow"] as const) };
    }
    case "onStoreError":
      return { ...limit, onStoreError: random.pick(["share", "local", "deny"] as const) };
    case "override":
      return {
        ...limit,
        overrides: [{ when: { session: ["s0"] }, quota: random.pick([0, 1, quota * 2]) }],
      } as LimitInput;
  }
}

/** The same limit by another algorithm. */
function withOtherAlgorithm(limit: LimitInput, random: Random): LimitInput {
  const kept = Object.entries(limit).filter(([key]) => KEPT.has(key));
  const same = { ...(Object.fromEntries(kept) as Pick<LimitInput, "name" | "per">), quota: random.whole(2, 40) };
  return random.pick<LimitInput>([
    { ...same, resetAfterIdle: "1h" },
    { ...same, algorithm: "fixed-window", window: "1h" },
    { ...same, algorithm: "sliding-window", window: "10s" },
    { ...same, algorithm: "token-bucket", window: "1s", burst: same.quota },
  ]);
}

/** What a limit keeps under another algorithm. */
const KEPT: ReadonlySet<string> = new Set(["name", "per", "unit", "when", "mode", "onStoreError"]);
