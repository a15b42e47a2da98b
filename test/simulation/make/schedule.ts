// Makes a schedule from a seed. What is common in the field is common here, and each schedule leaves some of it out, so that rare
// combinations are seen, and simple ones too.

import type { Random } from "../random.ts";
import { Random as Stream } from "../random.ts";
import type { InstancePlan, Schedule, Settings } from "../schedule.ts";
import { makeCalls, numbered } from "./calls.ts";
import { makeFaults } from "./faults.ts";
import { changedPolicy, makePolicy } from "./policies.ts";
import { withCluster } from "./cluster.ts";
import { withScene } from "./scenes.ts";
import { makeStop } from "./stops.ts";

/** When calls begin: every instance has started by then, if it can. */
const FROM_MS = 1_000;

export function makeSchedule(seed: string): Schedule {
  const random = new Stream(`schedule ${seed}`);
  const count = Number(random.weighted({ "1": 3, "2": 4, "3": 4, "5": 2, "12": 0.6, "50": 0.1 }));
  const untilMs = FROM_MS + random.pick([2_000, 5_000, 12_000, 30_000]);
  const policy = makePolicy(random.stream("policy"));
  const changes = random.stream("changes");
  const policies = [policy, changedPolicy(policy, changes), changedPolicy(policy, changes)];
  const calls = makeCalls({ policy, instances: count, fromMs: FROM_MS, untilMs }, random.stream("calls"));
  const busyMs = calls.map(({ atMs }) => atMs);
  const stage = { instances: count, fromMs: FROM_MS, untilMs, busyMs, policies: policies.length };
  const instances = makeInstances(count, random.stream("instances"));
  const faults = makeFaults(stage, random.stream("faults"));
  const stop = makeStop(policies, calls, random.stream("stop"));
  const hasClients = instances.some(({ role }) => role === "client");
  return withCluster(
    withScene({
      seed,
      settings: makeSettings(hasClients, random.stream("settings")),
      policies,
      instances,
      faults: [...faults, ...stop.faults].sort((one, other) => one.atMs - other.atMs),
      calls: stop.calls.length === 0 ? calls : numbered([...calls, ...stop.calls]),
      // Processes that start again do so within five seconds.
      calmAtMs: untilMs + 5_000,
    }),
  );
}

/** How long a message takes, ms. */
const MESSAGE_MS = [
  [0.1, 0.5],
  [0.2, 2],
  [1, 5],
  [5, 20],
] as const;

/** A client's call crosses two networks, and each of its tries has half of the deadline. */
function makeSettings(hasClients: boolean, random: Random): Settings {
  const messageMs = random.pick(hasClients ? MESSAGE_MS.slice(0, 3) : MESSAGE_MS);
  const isSlow = hasClients || messageMs[1] > 5;
  return {
    deadlineMs: random.pick(isSlow ? [250, 1_000] : [50, 250, 250, 1_000]),
    batching: random.pick([
      { size: 4, underWay: 4 },
      { size: 16, underWay: 2 },
      { size: 64, underWay: 4, least: 2, spread: true },
    ]),
    denyCacheMs: random.pick([0, 1_000]),
    hasFailover: random.chance(0.92),
    knowsInstances: random.chance(0.3),
    jitterMs: random.pick([0, 0, 2, 15]),
    messageMs,
  };
}

function makeInstances(count: number, random: Random): InstancePlan[] {
  // In some schedules clients ask services. The first instances are the services.
  const services = count >= 2 && random.chance(0.2) ? random.whole(1, Math.min(3, count - 1)) : 0;
  const roleOf = (i: number) => (services === 0 ? "limiter" : i < services ? "service" : "client");
  const isDrifting = random.chance(0.3);
  const haveJournals = random.chance(0.4);
  return Array.from({ length: count }, (_, i) => ({
    role: roleOf(i),
    startMs: roleOf(i) !== "service" && random.chance(0.1) ? random.whole(0, 10_000) : random.whole(0, 200),
    clock: isDrifting
      ? { drift: random.pick([-0.001, 0, 0.0002, 0.001]), aheadMs: random.whole(-2_000, 2_000) }
      : { drift: 0, aheadMs: 0 },
    hasJournal: haveJournals && roleOf(i) !== "client",
  }));
}
