// A recovery that takes longer than calls can wait: much was admitted in an outage, and the network is slow after it.

import type { Random } from "../../random.ts";
import type { Fault, Schedule } from "../../schedule.ts";
import { askedOf, cut, SCENE_FROM_MS, type SceneCall, withCalls, withClients } from "./scene.ts";

export function slowRecovery(given: Schedule, random: Random): Schedule {
  const schedule = random.chance(0.3) ? withClients(given, 1, random.whole(1, 2), random) : given;
  const asked = askedOf(schedule).slice(0, 3);
  const atMs = SCENE_FROM_MS + random.whole(0, 300);
  const forMs = random.pick([400, 900]);
  const slowMs = random.pick([30, 60, 100]);
  const slowForMs = random.pick([600, 1_200, 2_500]);
  const rules = { losesRequests: 0, losesAnswers: 0, endsConnections: 0, repeats: 0, slowMs };
  const slow: Fault = { type: "network", atMs: atMs + forMs, forMs: slowForMs, rules, instances: asked };
  const untilMs = atMs + forMs + slowForMs;
  const calls: SceneCall[] = [];
  const gapMs = random.pick([5, 10]);
  for (let n = 0; n < 300; n++) {
    // Many buckets are booked, in many batches.
    const call = { tool: "search", session: `q${random.whole(0, 50)}`, turn: `t${n % 5}`, user: `u${n % 3}` };
    calls.push({ verb: "consume", call, atMs: atMs - 200 + n * gapMs, instance: random.pick(asked) });
  }
  const settings = {
    ...schedule.settings,
    deadlineMs: 250,
    batching: random.pick([SMALL, schedule.settings.batching]),
  };
  const faults = [...schedule.faults.filter(() => random.chance(0.2)), cut(asked, atMs, forMs), slow];
  return withCalls(
    { ...schedule, settings, faults: faults.sort((one, other) => one.atMs - other.atMs) },
    calls,
    untilMs,
  );
}

const SMALL = { size: 4, underWay: 4 };
