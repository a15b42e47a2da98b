// Some schedules have a cluster in place of the one server.

import { Random } from "../random.ts";
import type { Schedule } from "../schedule.ts";

const CHANCE = 0.3;
const NODES = 3;
/** A script takes at most so many keys, and then a batch goes in parts: here each batch is one. */
const MOST_IN_BATCH = 24;

export function withCluster(schedule: Schedule): Schedule {
  const random = new Random(`cluster ${schedule.seed}`);
  if (!random.chance(CHANCE)) return schedule;
  const units = Array.from({ length: random.whole(4, 6) }, (_, unit) => unit % NODES);
  const { batching } = schedule.settings;
  const settings = {
    ...schedule.settings,
    batching: { ...batching, size: Math.min(batching.size, MOST_IN_BATCH) },
    cluster: { nodes: NODES, units },
  };
  return { ...schedule, settings, faults: [] };
}
