// One process: it starts, is killed or paused, and starts again. Each life has a machine and a program of its own; the journal and
// the clock stay.

import type { Decision } from "tollgate";
import type { Census } from "./census.ts";
import { SimulatedJournal } from "./journal.ts";
import type { Log } from "./log.ts";
import { Machine } from "./machine.ts";
import type { Network } from "./network.ts";
import type { Policies } from "./policies.ts";
import { type Program, startProgram } from "./programs.ts";
import type { InstancePlan, Schedule } from "./schedule.ts";
import type { Services } from "./services.ts";
import type { SimulatedStore } from "./store.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

/** What an instance is part of. */
export interface Surroundings {
  readonly schedule: Schedule;
  readonly policies: Policies;
  readonly world: World;
  readonly network: Network;
  readonly store: SimulatedStore;
  readonly census: Census;
  readonly services: Services;
  readonly log: Log;
  readonly witness: Witness;
}

export class Instance {
  readonly number: number;
  readonly journal: SimulatedJournal | null;
  readonly plan: InstancePlan;
  readonly #around: Surroundings;
  #lives = 0;
  /** By how much the wall clock has jumped. */
  #jumpedMs = 0;
  machine: Machine | null = null;
  /** What runs; `null` where nothing does. */
  program: Program | null = null;
  isClosing = false;
  /** What gets the decision of a running call before its function runs, by the id of the tool call. */
  readonly decisions = new Map<string, (decision: Decision) => void>();
  /** Which policy is in force. A new life begins with the last one. */
  policy = 0;

  constructor(number: number, plan: InstancePlan, around: Surroundings) {
    this.number = number;
    this.plan = plan;
    this.#around = around;
    this.journal = plan.hasJournal ? new SimulatedJournal() : null;
  }

  /** The name of its present life. */
  get name(): string {
    return `p${this.number}.${this.#lives}`;
  }

  /** Starts the process, unless it runs. */
  start(): void {
    if (this.machine !== null) return;
    const { world, schedule, policies, log } = this.#around;
    this.#lives++;
    this.isClosing = false;
    const { drift, aheadMs } = this.plan.clock;
    const clock = { drift, aheadMs: aheadMs + this.#jumpedMs };
    const machine = new Machine(world, this.name, clock, schedule.settings.jitterMs);
    this.machine = machine;
    const on = this.name;
    log.add({ atMs: world.nowMs, type: "started", on });
    const policy = policies.at(this.policy);
    world.after(0, machine, "turn", () => {
      this.program = startProgram({
        plan: this.plan,
        machine,
        policy,
        journal: this.journal,
        around: this.#around,
        onDecision: (decision, { toolCallId }) => this.decisions.get(toolCallId ?? "")?.(decision),
        onEvent: (event) => log.add({ atMs: world.nowMs, type: "event", on, event }),
      });
    });
  }

  /** Ends the process at once. */
  kill(losesWrites: number): void {
    if (this.machine !== null) this.#around.services.remove(this.machine);
    this.machine?.kill();
    this.machine = null;
    this.program = null;
    this.journal?.lose(losesWrites);
  }

  jump(ms: number): void {
    this.#jumpedMs += ms;
    this.machine?.jump(ms);
  }
}
