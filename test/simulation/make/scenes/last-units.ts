// One limiter, which has borrowed some of the last units of a limit when a call needs all of them.

import type { LimitInput } from "tollgate";
import type { Random } from "../../random.ts";
import type { InstancePlan, Schedule } from "../../schedule.ts";
import { SCENE_FROM_MS, type SceneCall, withCalls } from "./scene.ts";

const QUOTA = 1_000;

export function lastUnits(schedule: Schedule, random: Random): Schedule {
  const instance: InstancePlan = { ...(schedule.instances[0] as InstancePlan), role: "limiter", startMs: 0 };
  const limit: LimitInput = {
    name: "shared",
    per: [],
    algorithm: "fixed-window",
    window: "1h",
    quota: QUOTA,
    borrow: "auto",
  };
  const single = random.whole(150, 350);
  const gapMs = random.pick([1, 2]);
  const costs = [...Array.from({ length: single }, () => 1), QUOTA - single];
  const calls = costs.map((cost, n): SceneCall => {
    const call = { tool: "search", session: `n${n % 30}`, turn: "t1", user: "u0", cost: { calls: cost } };
    return { verb: "consume", call, atMs: SCENE_FROM_MS + n * gapMs, instance: 0 };
  });
  const policies = schedule.policies.map((policy) => ({ ...policy, limits: [limit] }));
  // The call is asked again when the borrowed units are back: its deadline has to leave time for that.
  const settings = { ...schedule.settings, deadlineMs: 1_000 };
  const begun = { ...schedule, settings, policies, instances: [instance], faults: [], calls: [], calmAtMs: 0 };
  return withCalls(begun, calls, SCENE_FROM_MS + costs.length * gapMs);
}
