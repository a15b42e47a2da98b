// Some schedules have a cluster in place of the one server. What happens to the server happens to nodes there; replicas take over, and
// shards move.

import { Random } from "../random.ts";
import type { Fault, Schedule, ServerFault } from "../schedule.ts";

const CHANCE = 0.3;
const NODES = 3;
/** A script takes at most so many keys, and then a batch goes in parts: here each batch is one. */
const MOST_IN_BATCH = 24;

/** What of the nodes a fault may be about. */
const OF_NODES: ReadonlySet<string> = new Set(["network", "restart", "refuse", "server-clock", "server-pause"]);

export function withCluster(schedule: Schedule): Schedule {
  const random = new Random(`cluster ${schedule.seed}`);
  if (!random.chance(CHANCE)) return schedule;
  const shards = Array.from({ length: random.whole(4, 6) }, (_, shard) => shard % NODES);
  const { batching } = schedule.settings;
  const settings = {
    ...schedule.settings,
    batching: { ...batching, size: Math.min(batching.size, MOST_IN_BATCH) },
    cluster: { nodes: NODES, shards },
  };
  const faults = [
    ...schedule.faults.map((fault) => (OF_NODES.has(fault.type) ? ofNodes(fault as ServerFault, random) : fault)),
    ...ownFaults(schedule, shards.length, random),
  ];
  return { ...schedule, settings, faults: faults.sort((one, other) => one.atMs - other.atMs) };
}

/** One node, some, or all. */
function nodesIn(random: Random): { readonly nodes?: readonly number[] } {
  const all = Array.from({ length: NODES }, (_, node) => node);
  const count = Number(random.weighted({ "1": 6, "2": 2, "3": 2 }));
  const from = random.whole(0, NODES - 1);
  return count === NODES ? {} : { nodes: [...all.slice(from), ...all.slice(0, from)].slice(0, count) };
}

function ofNodes(fault: ServerFault, random: Random): Fault {
  const some = { ...fault, ...nodesIn(random) };
  return some.type === "restart" && random.chance(0.5) ? takeover(some.atMs, some.forMs, random) : some;
}

/** A node's process ends, and its replica takes over, with what it had heard of. */
function takeover(atMs: number, forMs: number, random: Random): Fault {
  const successor = random.chance(0.25) ? "replica, and it stays" : "replica";
  const lagMs = random.pick([1, 20, 100, 500]);
  return { type: "restart", atMs, forMs, agoMs: forMs + lagMs, successor, nodes: [random.whole(0, NODES - 1)] };
}

function ownFaults({ calls, faults, calmAtMs }: Schedule, shards: number, random: Random): Fault[] {
  // Some schedules have none.
  if (faults.length === 0 || calls.length === 0) return [];
  const untilMs = calmAtMs - 5_000;
  const atMs = () => Math.max(0, Math.min(untilMs - 100, random.pick(calls).atMs - random.pick([0, 5, 200])));
  const lasting = (beginMs: number, forMs: number) => Math.min(forMs, untilMs - beginMs);
  const own: Fault[] = [];
  const takeovers = random.pick([0, 0, 1, 1, 2, 4]);
  for (let i = 0; i < takeovers; i++) {
    const beginMs = atMs();
    own.push(takeover(beginMs, lasting(beginMs, random.pick([20, 300, 1_500])), random));
  }
  const moves = random.pick([0, 0, 0, 1, 2, 3]);
  for (let i = 0; i < moves; i++) {
    const beginMs = atMs();
    const forMs = lasting(beginMs, random.pick([5, 80, 400, 2_000]));
    const at = { atMs: beginMs, forMs, shard: random.whole(0, shards - 1), to: random.whole(0, NODES - 1) };
    own.push({ type: "move", ...at, answers: random.chance(0.6) });
  }
  return own;
}
