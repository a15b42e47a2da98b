// One limiter, which goes on calling in an outage that began when its token bucket was used up, and calls more than flows back after it.

import type { LimitInput } from "tollgate";
import type { Random } from "../../random.ts";
import type { InstancePlan, Schedule } from "../../schedule.ts";
import { cut, SCENE_FROM_MS, type SceneCall, withCalls } from "./scene.ts";

/** How soon after an outage the limiter is back at the latest, ms. */
const BACK_WITHIN_MS = 700;

export function spentRate(schedule: Schedule, random: Random): Schedule {
  const instance: InstancePlan = { ...(schedule.instances[0] as InstancePlan), role: "limiter", startMs: 0 };
  const quota = random.whole(2, 8);
  const burst = quota * random.whole(2, 5);
  const limit: LimitInput = { name: "rate", per: [], algorithm: "token-bucket", quota, window: "1s", burst };
  const calls: SceneCall[] = [];
  const callsFrom = (fromMs: number, count: number, gapMs: number) => {
    for (let n = 0; n < count; n++) {
      const call = { tool: "search", session: `f${n % 3}`, turn: "t1", user: "u0" };
      calls.push({ verb: "consume", call, atMs: fromMs + n * gapMs, instance: 0 });
    }
  };
  callsFrom(SCENE_FROM_MS, burst, 2);
  const fromMs = SCENE_FROM_MS + 300;
  const forMs = random.pick([1_000, 2_000, 4_000]);
  const gapMs = random.pick([100, 250]);
  callsFrom(fromMs, Math.floor(forMs / gapMs), gapMs);
  const untilMs = fromMs + forMs + BACK_WITHIN_MS;
  callsFrom(untilMs, burst, 2);
  const settings = { ...schedule.settings, hasFailover: true };
  const policies = schedule.policies.map((policy) => ({ ...policy, limits: [limit] }));
  const faults = [cut([0], fromMs, forMs)];
  return withCalls({ ...schedule, settings, policies, instances: [instance], faults, calls: [] }, calls, untilMs);
}
