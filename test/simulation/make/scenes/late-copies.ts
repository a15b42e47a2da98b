// Answers are lost, and copies of requests arrive after this instance has settled what became of them.

import type { Random } from "../../random.ts";
import type { Fault, Schedule } from "../../schedule.ts";
import { askedOf, SCENE_FROM_MS, type SceneCall, withCalls } from "./scene.ts";

export function lateCopies(schedule: Schedule, random: Random): Schedule {
  const asked = askedOf(schedule).slice(0, 3);
  const forMs = 3_000;
  const rules = { losesRequests: 0, losesAnswers: 0.3, endsConnections: 1, repeats: 0.7, slowMs: 20 };
  const fault: Fault = { type: "network", atMs: SCENE_FROM_MS, forMs, rules, instances: asked };
  // Calls that the store may have booked are denied alone, and taken back.
  const isDenied = random.chance(0.6);
  const policies = schedule.policies.map((policy) => ({
    ...policy,
    limits: policy.limits.map((limit) => (isDenied ? { ...limit, onStoreError: "deny" as const } : limit)),
  }));
  const calls = Array.from({ length: 200 }, (_, n): SceneCall => {
    const call = { tool: "search", session: `c${n % 40}`, turn: `t${n % 5}`, user: `u${n % 3}` };
    return { verb: "consume", call, atMs: SCENE_FROM_MS + n * 15, instance: random.pick(asked) };
  });
  const settings = { ...schedule.settings, deadlineMs: 1_000 };
  return withCalls({ ...schedule, settings, policies, faults: [fault] }, calls, SCENE_FROM_MS + forMs);
}
