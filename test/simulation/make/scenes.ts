// Scenes: some schedules play a situation that chance alone makes too seldom. A scene keeps the processes and the settings of its
// schedule and draws from a stream of its own, so that the other schedules are the same with scenes as without.

import { Random } from "../random.ts";
import type { Schedule } from "../schedule.ts";
import { lateCopies } from "./scenes/late-copies.ts";
import { lending } from "./scenes/lending.ts";
import { longRuns } from "./scenes/long-runs.ts";
import { slowRecovery } from "./scenes/slow-recovery.ts";
import { twoOutages } from "./scenes/two-outages.ts";

const CHANCE = 0.16;
/** Of the other schedules. */
const LATE_COPIES = 0.025;

const SCENES = { lending, longRuns, slowRecovery, twoOutages };

export function withScene(schedule: Schedule): Schedule {
  const random = new Random(`scene ${schedule.seed}`);
  if (!random.chance(CHANCE)) {
    const late = random.stream("lateCopies");
    return late.chance(LATE_COPIES) ? lateCopies(schedule, late) : schedule;
  }
  const name = random.weighted({ lending: 4, longRuns: 2, slowRecovery: 3, twoOutages: 5 });
  return SCENES[name](schedule, random.stream(name));
}
