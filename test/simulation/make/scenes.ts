// Scenes: some schedules play a situation that chance alone makes too seldom. A scene keeps the processes and the settings of its
// schedule and draws from a stream of its own, so that the other schedules are the same with scenes as without.

import { Random } from "../random.ts";
import type { Schedule } from "../schedule.ts";
import { idleLoss } from "./scenes/idle-loss.ts";
import { lastUnits } from "./scenes/last-units.ts";
import { lateCopies } from "./scenes/late-copies.ts";
import { lending } from "./scenes/lending.ts";
import { longRuns } from "./scenes/long-runs.ts";
import { slowRecovery } from "./scenes/slow-recovery.ts";
import { spentRate } from "./scenes/spent-rate.ts";
import { twoOutages } from "./scenes/two-outages.ts";

const CHANCE = 0.16;
/** Scenes of the other schedules, and how often these play each. */
const RARE = [
  { name: "lateCopies", chance: 0.025, play: lateCopies },
  { name: "idleLoss", chance: 0.01, play: idleLoss },
  { name: "lastUnits", chance: 0.01, play: lastUnits },
  { name: "spentRate", chance: 0.01, play: spentRate },
] as const;

const SCENES = { lending, longRuns, slowRecovery, twoOutages };

export function withScene(schedule: Schedule): Schedule {
  const random = new Random(`scene ${schedule.seed}`);
  if (!random.chance(CHANCE)) {
    for (const { name, chance, play } of RARE) {
      const own = random.stream(name);
      if (own.chance(chance)) return play(schedule, own);
    }
    return schedule;
  }
  const name = random.weighted({ lending: 4, longRuns: 2, slowRecovery: 3, twoOutages: 5 });
  return SCENES[name](schedule, random.stream(name));
}
