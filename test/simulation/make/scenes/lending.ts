// A limit that lends, until it is used up, by calls of one unit or several, and processes that close meanwhile.

import type { LimitInput, PolicyInput } from "tollgate";
import type { Random } from "../../random.ts";
import type { Fault, Schedule } from "../../schedule.ts";
import { askedOf, SCENE_FROM_MS, type SceneCall, withCalls } from "./scene.ts";

const CALLS = 350;

export function lending(schedule: Schedule, random: Random): Schedule {
  // One instance that is alone has to use the last unit.
  const [one] = schedule.instances;
  const isAlone = one !== undefined && random.chance(0.5);
  const instances = isAlone ? [{ ...one, role: "limiter" as const }] : schedule.instances;
  const asked = askedOf({ ...schedule, instances }).slice(0, random.whole(1, 3));
  const shared: LimitInput = {
    name: "shared",
    per: [],
    algorithm: "fixed-window",
    window: "1h",
    quota: random.pick([150, 300, 1_000]),
    borrow: "auto",
  };
  const policy: PolicyInput = { version: 1, limits: [shared] };
  const costs = random.pick([...(isAlone ? [] : [[1], [1, 1, 1, 5]]), [2, 3], [3, 5, 8]]);
  const gapMs = random.pick([1, 2, 4]);
  const keyed = random.pick([0, 0.1]);
  const calls = Array.from({ length: CALLS }, (_, n): SceneCall => {
    const cost = random.pick(costs);
    const call = {
      tool: "search",
      session: `b${n % 30}`,
      turn: "t1",
      user: `u${n % 3}`,
      ...(cost === 1 ? {} : { cost: { calls: cost } }),
      ...(random.chance(keyed) ? { idempotencyKey: `b${n}` } : {}),
    };
    return { verb: "consume", call, atMs: SCENE_FROM_MS + n * gapMs, instance: random.pick(asked) };
  });
  const close = (): Fault => ({
    type: "close",
    atMs: SCENE_FROM_MS + random.whole(50, CALLS * gapMs),
    instance: random.pick(asked),
    withinMs: random.pick([500, 5_000]),
    againAfterMs: random.pick([null, 500]),
  });
  const faults = random.chance(isAlone ? 0.2 : 0.6) ? [close()] : [];
  const begun = { ...schedule, instances, policies: schedule.policies.map(() => policy), faults, calls: [] };
  return withCalls(begun, calls, SCENE_FROM_MS + CALLS * gapMs);
}
