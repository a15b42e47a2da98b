// One limiter, which no call asks any more when the store starts again with less than it held.

import type { LimitInput } from "tollgate";
import type { Random } from "../../random.ts";
import type { Fault, InstancePlan, Schedule } from "../../schedule.ts";
import { SCENE_FROM_MS, type SceneCall, withCalls } from "./scene.ts";

export function idleLoss(schedule: Schedule, random: Random): Schedule {
  const instance: InstancePlan = { ...(schedule.instances[0] as InstancePlan), role: "limiter", startMs: 0 };
  const limit: LimitInput = { name: "session", per: ["session"], quota: 12, resetAfterIdle: "1h" };
  const calls = Array.from({ length: random.whole(1, 8) }, (_, n): SceneCall => {
    const call = { tool: "search", session: `i${random.whole(0, 2)}`, turn: "t1", user: "u0" };
    return { verb: "consume", call, atMs: SCENE_FROM_MS + n * random.pick([1, 40]), instance: 0 };
  });
  const atMs = SCENE_FROM_MS + 1_000 + random.whole(0, 4_000);
  const restart: Fault = {
    type: "restart",
    atMs,
    forMs: random.pick([20, 100, 1_000]),
    agoMs: random.pick([null, 10_000]),
  };
  const settings = { ...schedule.settings, hasFailover: true };
  const policies = schedule.policies.map((policy) => ({ ...policy, limits: [limit] }));
  const begun = { ...schedule, settings, policies, instances: [instance], faults: [restart], calls: [], calmAtMs: 0 };
  return withCalls(begun, calls, restart.atMs + restart.forMs);
}
