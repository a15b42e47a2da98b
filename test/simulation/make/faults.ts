// The faults of a schedule. Each schedule has only some kinds, so that each kind is also seen alone.

import type { Random } from "../random.ts";
import type { Fault, FaultType } from "../schedule.ts";

/** What faults have to fit into. */
export interface Stage {
  readonly instances: number;
  /** Between these instants calls are made. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** When calls are made. */
  readonly busyMs: readonly number[];
  readonly policies: number;
}

/** How often a schedule has faults of a kind. */
const CHANCES: Readonly<Record<FaultType, number>> = {
  network: 0.45,
  restart: 0.25,
  refuse: 0.15,
  damage: 0.06,
  "server-clock": 0.05,
  "server-pause": 0.12,
  clock: 0.1,
  pause: 0.15,
  kill: 0.2,
  close: 0.15,
  reload: 0.3,
  "full-disk": 0.04,
  // Where there is a cluster: cluster.ts.
  move: 0,
};

const WITHOUT_FAULTS = 0.12;

export function makeFaults(stage: Stage, random: Random): Fault[] {
  if (random.chance(WITHOUT_FAULTS)) return [];
  const types = (Object.keys(CHANCES) as FaultType[]).filter((type) => random.chance(CHANCES[type]));
  const faults = types.flatMap((type) => {
    const own = random.stream(type);
    return Array.from({ length: own.pick([1, 1, 2, 4]) }, () => makeFault(type, stage, own));
  });
  if (random.chance(0.35)) faults.push(...outageWith(stage, random.stream("outage")));
  return faults.sort((one, other) => one.atMs - other.atMs);
}

function makeFault(type: FaultType, stage: Stage, random: Random): Fault {
  const { instances, untilMs, policies } = stage;
  const atMs = beginOf(stage, random);
  const forMs = Math.min(untilMs - atMs, random.pick([30, 200, 400, 1_500, 5_000, 15_000]));
  const instance = random.whole(0, instances - 1);
  const againAfterMs = random.chance(0.7) ? random.pick([50, 1_000, 5_000]) : null;
  switch (type) {
    case "network":
      return { type, atMs, forMs, rules: makeRules(random), instances: someOf(instances, random) };
    case "restart":
      return { type, atMs, forMs: Math.min(forMs, 5_000), agoMs: random.pick([null, 0, 0, 50, 1_000, 10_000]) };
    case "refuse":
      return {
        type,
        atMs,
        forMs,
        refusal: random.pick(["read-only", "loading", "out-of-memory", "unauthorized"] as const),
      };
    case "damage":
      return { type, atMs, nth: random.whole(0, 1_000) };
    case "server-clock":
      return { type, atMs, jumpMs: random.pick([-60_000, -1_000, -50, 50, 1_000, 60_000]) };
    case "server-pause":
      return { type, atMs, forMs };
    case "clock":
      return { type, atMs, instance, jumpMs: random.pick([-3_600_000, -1_000, 1_000, 3_600_000]) };
    case "pause":
      return { type, atMs, forMs, instance };
    case "kill":
      return { type, atMs, instance, againAfterMs, losesWrites: random.pick([0, 0, 0, 1, 5]) };
    case "close":
      return { type, atMs, instance, withinMs: random.pick([0, 500, 5_000]), againAfterMs };
    case "reload":
      return { type, atMs, instance, policy: random.whole(0, policies - 1) };
    case "full-disk":
      return { type, atMs, forMs, instance };
    case "move":
      return { type, atMs, forMs, shard: 0, to: 0, answers: true };
  }
}

/** Mostly shortly before a call. Some calls come again after the others have ended. */
function beginOf({ fromMs, untilMs, busyMs }: Stage, random: Random): number {
  if (busyMs.length === 0 || random.chance(0.25)) return random.whole(fromMs, untilMs);
  return Math.min(untilMs, Math.max(fromMs, random.pick(busyMs) - random.pick([0, 1, 10, 300])));
}

/** An outage in which something else happens: what layers disagree about is often found there. */
function outageWith(stage: Stage, random: Random): Fault[] {
  const { instances, untilMs } = stage;
  const atMs = Math.min(beginOf(stage, random), untilMs - 300);
  const forMs = Math.min(untilMs - atMs, random.pick([500, 2_000, 6_000]));
  const during = () => atMs + Math.floor(forMs * (0.1 + 0.8 * random.next()));
  const rules = { losesRequests: 1, losesAnswers: 1, endsConnections: random.pick([0, 1]), repeats: 0, slowMs: 0 };
  const cut: Fault = { type: "network", atMs, forMs, rules, instances: someOf(instances, random) };
  const instance = random.pick(cut.instances);
  const againAfterMs = random.pick([50, 500, 3_000]);
  const more = random.weighted({ kill: 3, close: 2, reload: 2, restart: 2, again: 3, flap: 2, pause: 1 });
  if (more === "kill") return [cut, { type: "kill", atMs: during(), instance, againAfterMs, losesWrites: 0 }];
  if (more === "close")
    return [cut, { type: "close", atMs: during(), instance, withinMs: random.pick([0, 500, 5_000]), againAfterMs }];
  if (more === "reload")
    return [cut, { type: "reload", atMs: during(), instance, policy: random.whole(1, stage.policies - 1) }];
  if (more === "restart")
    return [cut, { type: "restart", atMs: during(), forMs: 100, agoMs: random.pick([null, 0, 500, 5_000]) }];
  if (more === "pause") return [cut, { type: "pause", atMs: during(), forMs: random.pick([100, 1_000]), instance }];
  if (more === "again") return [cut, { ...cut, atMs: Math.min(untilMs, atMs + forMs + random.pick([600, 2_000])) }];
  // It comes and goes.
  return Array.from({ length: 6 }, () => ({ ...cut, atMs: during(), forMs: random.pick([5, 30, 100]) }));
}

function makeRules(random: Random) {
  const kind = random.weighted({ cut: 4, lossy: 3, slow: 3, repeats: 2 });
  const endsConnections = random.pick([0, 0.5, 1]);
  const none = { losesRequests: 0, losesAnswers: 0, endsConnections, repeats: 0, slowMs: 0 };
  if (kind === "cut") {
    const both = { losesRequests: 1, losesAnswers: 1 };
    return { ...none, ...random.pick([both, both, { losesRequests: 1 }, { losesAnswers: 1 }]) };
  }
  if (kind === "lossy")
    return { ...none, losesRequests: random.pick([0.05, 0.3]), losesAnswers: random.pick([0.05, 0.3]) };
  if (kind === "slow") return { ...none, slowMs: random.pick([60, 300, 2_000]), repeats: random.pick([0, 0.2]) };
  return { ...none, repeats: 0.5, slowMs: random.pick([0, 100]) };
}

/** All instances, or some of them. */
function someOf(instances: number, random: Random): number[] {
  const all = Array.from({ length: instances }, (_, i) => i);
  if (random.chance(0.5)) return all;
  const some = all.filter(() => random.chance(0.5));
  return some.length === 0 ? [random.whole(0, instances - 1)] : some;
}
