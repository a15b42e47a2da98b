// Runs a schedule: builds its world, lets everything happen, and returns the log with how the world stands at the end.

import type { StoredState } from "../../src/store/api.ts";
import type { Act } from "./acts.ts";
import { makeCall } from "./calls.ts";
import { Census } from "./census.ts";
import { listenToShards } from "./cluster/shard-events.ts";
import { begin } from "./faults.ts";
import { Instance, type Surroundings } from "./instance.ts";
import { Log } from "./log.ts";
import { JOB } from "./make/policies.ts";
import { Network } from "./network.ts";
import { Policies } from "./policies.ts";
import type { Fault, PlannedCall, Schedule } from "./schedule.ts";
import { runInWorld } from "./runtime.ts";
import { Services } from "./services.ts";
import { SimulatedStore } from "./store.ts";
import { Witness } from "./witness.ts";
import { World } from "./world.ts";

/** How long after the last fault everything has to be well again, ms. */
export const WELL_AFTER_MS = 5_000;
/** How long the world stays calm before it is judged: borrowed units are back by then, and leases have ended. */
const CALM_MS = 60_000;

/** When instances are asked what they see for the last time, ms after the last fault. */
export const LAST_LOOK_MS = 55_000;

/** What came of a schedule. */
export interface Run {
  readonly schedule: Schedule;
  readonly policies: Policies;
  readonly log: Log;
  readonly store: SimulatedStore;
  readonly census: Census;
  /** What the server held five seconds after the last fault, before the instances were asked again. */
  readonly statesWhenCalm: ReadonlyMap<string, StoredState>;
  readonly instances: readonly Instance[];
  readonly services: Services;
  readonly witness: Witness;
  readonly events: number;
  readonly endMs: number;
}

/** @param onAct is called with what the server was asked, and what it did */
export async function runSchedule(schedule: Schedule, onAct: (act: Act) => void = () => {}): Promise<Run> {
  const world = new World(schedule.seed);
  const undo = runInWorld(world);
  try {
    const log = new Log();
    listenToShards((shard, type) => {
      const isAway = type === "store.unreachable";
      const on = world.current?.name;
      if (on !== undefined && (isAway || type === "store.recovered"))
        log.add({ atMs: world.nowMs, type: "shard", on, shard, isAway });
    });
    const store = new SimulatedStore(world, schedule.settings.cluster, onAct);
    const network = new Network(world.random.stream("network"), schedule.settings.messageMs);
    const policies = new Policies(schedule);
    const witness = new Witness(schedule, policies, store, log);
    const census = new Census();
    const services = new Services();
    const around: Surroundings = { schedule, policies, world, network, store, census, services, log, witness };
    const instances = schedule.instances.map((plan, number) => new Instance(number, plan, around));
    for (const [i, { startMs }] of schedule.instances.entries()) {
      world.after(startMs, null, "turn", () => instances[i]?.start());
    }
    for (const fault of schedule.faults) plan(fault, instances, around);
    for (const planned of schedule.calls) {
      world.after(planned.atMs, null, "turn", () => makeCall(planned, instances, around));
    }
    // Every process is asked once more: a new one books what its journal has with its first call.
    for (const [instance] of instances.entries()) {
      for (const afterMs of [0, WELL_AFTER_MS, LAST_LOOK_MS]) {
        for (const look of looksOf(instance)) {
          world.after(schedule.calmAtMs + afterMs, null, "turn", () => makeCall(look, instances, around));
        }
      }
    }
    const statesWhenCalm = new Map<string, StoredState>();
    world.after(schedule.calmAtMs - 1, null, "turn", () => {
      for (const [key, state] of store.states()) statesWhenCalm.set(key, state);
    });
    const endMs = schedule.calmAtMs + CALM_MS;
    await world.runUntil(endMs);
    const { events } = world;
    return { schedule, policies, log, store, census, statesWhenCalm, instances, services, witness, endMs, events };
  } finally {
    undo();
  }
}

/** What an instance is asked when the world is calm: a call that charges nothing, then how some buckets stand. */
function looksOf(instance: number): PlannedCall[] {
  const call = { tool: JOB, session: "look", turn: "t1", user: "u0" };
  const at = { id: -1 - instance, atMs: 0, instance };
  return [
    { ...at, verb: "peek", call },
    { ...at, verb: "usage", session: "s0", user: "u0" },
  ];
}

function plan(fault: Fault, instances: readonly Instance[], around: Surroundings): void {
  const { world, log } = around;
  world.after(fault.atMs, null, "turn", () => {
    log.add({ atMs: world.nowMs, type: "fault", fault, isOver: false });
    const end = begin(fault, instances, around);
    if (end === null) return;
    world.after("forMs" in fault ? fault.forMs : 0, null, "turn", () => {
      end();
      log.add({ atMs: world.nowMs, type: "fault", fault, isOver: true });
    });
  });
}
