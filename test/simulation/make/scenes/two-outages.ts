// Two outages: every process uses its whole share in the second one, of buckets that all have used in the first one and since.

import type { Random } from "../../random.ts";
import type { Fault, Schedule } from "../../schedule.ts";
import { askedOf, cut, SCENE_FROM_MS, type SceneCall, withCalls, withClients } from "./scene.ts";

/** How many processes take part at most. */
const MOST = 4;

export function twoOutages(given: Schedule, random: Random): Schedule {
  const schedule = random.chance(0.4) ? withClients(given, random.whole(1, 2), random.whole(1, 3), random) : given;
  const asked = askedOf(schedule).slice(0, MOST);
  const forMs = random.pick([500, 900]);
  const gapMs = random.pick([900, 1_500]);
  const first = SCENE_FROM_MS + random.whole(0, 300);
  const second = first + forMs + gapMs;
  const untilMs = second + forMs;
  const sessions = random.pick([2, 4]);
  const tool = random.pick(["search", "book"]);
  const calls: SceneCall[] = [];
  const callsOf = (i: number, count: number, fromMs: number, toMs: number) => {
    const call = { tool, session: `o${i}`, turn: "t1", user: `u${i % 3}` };
    for (let n = 0; n < count; n++) {
      calls.push({ verb: "consume", call, atMs: random.whole(fromMs, toMs), instance: random.pick(asked) });
    }
  };
  for (let i = 0; i < sessions; i++) {
    callsOf(i, random.whole(0, 1), SCENE_FROM_MS - 200, first - 20);
    callsOf(i, random.whole(1, 2), first + 50, first + forMs - 20);
    callsOf(i, random.whole(1, 4), second - 400, second - 20);
    callsOf(i, random.pick([6, 12]) * asked.length, second + 50, untilMs - 20);
  }
  const stop: Fault = {
    type: "reload",
    atMs: random.whole(second + 100, untilMs),
    instance: random.pick(asked),
    policy: 1,
  };
  const faults = [
    ...schedule.faults.filter(() => random.chance(0.2)),
    cut(asked, first, forMs),
    cut(asked, second, forMs),
    ...(random.chance(0.3) ? [stop] : []),
  ].sort((one, other) => one.atMs - other.atMs);
  return withCalls({ ...schedule, faults }, calls, untilMs);
}
