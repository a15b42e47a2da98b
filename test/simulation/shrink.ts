// Makes a failing schedule smaller: leaves out faults, calls, instances and limits for as long as the same judge still complains.

import { judge } from "./judges/judges.ts";
import { runSchedule } from "./run.ts";
import type { Schedule } from "./schedule.ts";

/** Most runs that shrinking takes. */
const MOST_RUNS = 600;

/** A list in a schedule whose items can be left out. */
const LISTS = ["faults", "calls"] as const;

export async function shrink(schedule: Schedule, judgeName: string): Promise<Schedule> {
  let runs = 0;
  let best = schedule;
  const isStillBad = async (candidate: Schedule) => {
    if (++runs > MOST_RUNS) return false;
    try {
      return judge(await runSchedule(candidate)).some((violation) => violation.judge === judgeName);
    } catch {
      // A schedule that does not make sense any more.
      return false;
    }
  };
  const take = async (candidate: Schedule) => {
    if (!(await isStillBad(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let before = ""; before !== sizeOf(best) && runs < MOST_RUNS; ) {
    before = sizeOf(best);
    for (const list of LISTS) await without(() => best, list, take);
    await withoutLimits(() => best, take);
    await withFewerInstances(() => best, take);
  }
  return best;
}

function sizeOf({ faults, calls, policies, instances }: Schedule): string {
  return [faults.length, calls.length, policies[0]?.limits.length, instances.length].join();
}

/** Leaves out parts of a list: halves first, then smaller ones. */
async function without(
  best: () => Schedule,
  list: (typeof LISTS)[number],
  take: (candidate: Schedule) => Promise<boolean>,
): Promise<void> {
  for (let size = Math.ceil(best()[list].length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let first = 0; first < best()[list].length; ) {
      const schedule = best();
      const rest = [...schedule[list].slice(0, first), ...schedule[list].slice(first + size)];
      if (!(await take({ ...schedule, [list]: rest }))) first += size;
    }
  }
}

async function withoutLimits(best: () => Schedule, take: (candidate: Schedule) => Promise<boolean>): Promise<void> {
  for (const { name } of best().policies[0]?.limits ?? []) {
    const { policies } = best();
    const kept = policies.map((policy) => ({
      ...policy,
      limits: policy.limits.filter((limit) => limit.name !== name),
    }));
    if (kept.every(({ limits }) => limits.length > 0)) await take({ ...best(), policies: kept });
  }
}

/** Leaves out instances, the last one first: their calls go to the first that is left. */
async function withFewerInstances(
  best: () => Schedule,
  take: (candidate: Schedule) => Promise<boolean>,
): Promise<void> {
  for (let gone = best().instances.length - 1; gone >= 0 && best().instances.length > 1; gone--) {
    const schedule = best();
    // Clients need a service.
    const services = schedule.instances.filter(({ role }) => role === "service");
    if (services.length === 1 && schedule.instances[gone]?.role === "service") continue;
    const renamed = (instance: number) => (instance > gone ? instance - 1 : instance === gone ? 0 : instance);
    const calls = schedule.calls.map((call) => ({ ...call, instance: renamed(call.instance) }));
    const faults = schedule.faults
      .filter((fault) => !("instance" in fault && fault.instance === gone))
      .map((fault) => ("instance" in fault ? { ...fault, instance: renamed(fault.instance) } : fault));
    await take({ ...schedule, instances: schedule.instances.toSpliced(gone, 1), calls, faults });
  }
}
