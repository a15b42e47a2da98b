// What scenes are made of.

import { numbered } from "../calls.ts";
import type { Random } from "../../random.ts";
import type { Call, Fault, InstancePlan, PlannedCall, Schedule } from "../../schedule.ts";

/** When a scene begins, ms. */
export const SCENE_FROM_MS = 1_200;

/** Processes that start again do so within so many ms. */
const AGAIN_WITHIN_MS = 5_000;

/** A call before it has a number. */
export type SceneCall = {
  readonly atMs: number;
  readonly instance: number;
  readonly verb: "consume";
  readonly call: Call;
};

/** The schedule with more calls, until the scene is over. */
export function withCalls(schedule: Schedule, more: readonly Omit<PlannedCall, "id">[], untilMs: number): Schedule {
  const calls = numbered([...schedule.calls, ...(more as readonly PlannedCall[])]);
  return { ...schedule, calls, calmAtMs: Math.max(schedule.calmAtMs, untilMs + AGAIN_WITHIN_MS) };
}

/** Those processes that agents ask: limiters, or clients where there are services. */
export function askedOf({ instances }: Schedule): number[] {
  return instances.flatMap(({ role }, i) => (role === "service" ? [] : [i]));
}

/** Some processes reach nothing for a while. */
export function cut(instances: readonly number[], atMs: number, forMs: number): Fault {
  const rules = { losesRequests: 1, losesAnswers: 1, endsConnections: 1, repeats: 0, slowMs: 0 };
  return { type: "network", atMs, forMs, rules, instances };
}

/** Other processes: clients of services, in a network that is fast enough for their deadlines. */
export function withClients(schedule: Schedule, services: number, clients: number, random: Random): Schedule {
  const instances = Array.from({ length: services + clients }, (_, i): InstancePlan => {
    const role = i < services ? "service" : "client";
    return { role, startMs: random.whole(0, 200), clock: { drift: 0, aheadMs: 0 }, hasJournal: false };
  });
  const settings = { ...schedule.settings, deadlineMs: 250, messageMs: [0.2, 2] as const, hasFailover: true };
  const isThere = (fault: Fault) => !("instance" in fault) || fault.instance < instances.length;
  const isAsked = ({ instance }: PlannedCall) => instance < instances.length;
  return {
    ...schedule,
    instances,
    settings,
    faults: schedule.faults.filter(isThere),
    calls: schedule.calls.filter(isAsked),
  };
}
