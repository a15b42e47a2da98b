// What a fleet asks at once is bounded, and nothing is left of it when the world is calm.

import type { Oracle } from "../oracle.ts";

/** For each shard of the store: the heartbeat or the probe, and what a layer does in its own time. */
const TIMERS = 2;

export function* bounds({ run }: Oracle): Generator<string> {
  const { store, schedule, instances, census } = run;
  const { size } = schedule.settings.batching;
  if (store.largestBatch > size) yield `${store.largestBatch} requests came in one batch, ${size} may`;
  for (const { name, machine, plan, program, journal } of instances) {
    if (machine === null || program === null) continue;
    const timers = machine.world.timersOf(machine) - census.asked(machine.name);
    const most = TIMERS * store.servers.length;
    if (timers > most) yield `${name} waits for ${timers} timers when all is done, ${most} may be left`;
    // A service reads its journal when it is asked for the first time.
    if (plan.role === "service" && !run.services.asked.has(machine)) continue;
    const kept = [...(journal?.entries() ?? [])].length;
    if (kept > 0) yield `the journal of ${name} keeps ${kept} entries when all is booked`;
  }
}
