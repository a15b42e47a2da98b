// Tools that run longer than the lease of their slots, while others want a slot.

import type { LimitInput } from "tollgate";
import type { Random } from "../../random.ts";
import type { PlannedCall, Schedule } from "../../schedule.ts";
import { JOB } from "../policies.ts";
import { askedOf, SCENE_FROM_MS, withCalls } from "./scene.ts";

export function longRuns(schedule: Schedule, random: Random): Schedule {
  const slots: LimitInput = {
    name: "slots",
    per: [],
    when: { tool: [JOB] },
    algorithm: "concurrency",
    quota: random.whole(1, 3),
    hold: { lease: "2s" },
  };
  const policies = schedule.policies.map((policy) => ({
    ...policy,
    limits: [...policy.limits.filter(({ name }) => name !== slots.name), slots],
  }));
  const calls = Array.from({ length: 14 }, (_, n): Omit<Extract<PlannedCall, { verb: "run" }>, "id"> => {
    const call = { tool: JOB, session: `l${n}`, turn: "t1", user: `u${n % 3}`, cost: {} };
    const wait = random.chance(0.2) ? { maxWaitMs: 500 } : {};
    const lastsMs = random.pick([100, 6_000, 6_000]);
    const atMs = SCENE_FROM_MS + random.whole(0, 8_000);
    return {
      verb: "run",
      atMs,
      instance: random.pick(askedOf(schedule)),
      call,
      ...wait,
      lastsMs,
      tokens: 0,
      fails: false,
    };
  });
  const faults = schedule.faults.filter(({ type }) => type === "reload" || type === "clock");
  return withCalls({ ...schedule, policies, faults }, calls, SCENE_FROM_MS + 14_000);
}
