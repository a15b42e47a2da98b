// One process with a limiter: it starts, is killed or paused, and starts again. Each life has a machine and a limiter of its own;
// the journal and the clock stay.

import type { Decision } from "tollgate";
import type { HostedLimiter } from "../../src/limiter/hosted.ts";
import { createHostedLimiter } from "../../src/limiter.ts";
import { Connection } from "./connection.ts";
import { SimulatedJournal } from "./journal.ts";
import type { Log } from "./log.ts";
import { Machine } from "./machine.ts";
import type { Network } from "./network.ts";
import type { InstancePlan, Schedule } from "./schedule.ts";
import type { StoreServer } from "./server.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

/** What an instance is part of. */
export interface Surroundings {
  readonly schedule: Schedule;
  readonly world: World;
  readonly network: Network;
  readonly server: StoreServer;
  readonly log: Log;
  readonly witness: Witness;
}

export class Instance {
  readonly number: number;
  readonly journal: SimulatedJournal | null;
  readonly #plan: InstancePlan;
  readonly #around: Surroundings;
  #lives = 0;
  /** By how much the wall clock has jumped. */
  #jumpedMs = 0;
  machine: Machine | null = null;
  limiter: HostedLimiter | null = null;
  /** What gets the decision of a running call before its function runs, by the id of the tool call. */
  readonly decisions = new Map<string, (decision: Decision) => void>();
  /** Which policy is in force. A new life begins with the last one. */
  policy = 0;

  constructor(number: number, plan: InstancePlan, around: Surroundings) {
    this.number = number;
    this.#plan = plan;
    this.#around = around;
    this.journal = plan.hasJournal ? new SimulatedJournal() : null;
  }

  /** The name of its present life. */
  get name(): string {
    return `p${this.number}.${this.#lives}`;
  }

  /** Starts the process, unless it runs. */
  start(): void {
    if (this.limiter !== null) return;
    const { world, schedule, log } = this.#around;
    this.#lives++;
    const { drift, aheadMs } = this.#plan.clock;
    const clock = { drift, aheadMs: aheadMs + this.#jumpedMs };
    const machine = new Machine(world, this.name, clock, schedule.settings.jitterMs);
    this.machine = machine;
    log.add({ atMs: world.nowMs, type: "started", on: this.name });
    world.after(0, machine, "turn", () => {
      this.limiter = this.#makeLimiter(machine);
    });
  }

  #makeLimiter(machine: Machine): HostedLimiter {
    const { schedule, network, server, log, world } = this.#around;
    const { deadlineMs, batching, denyCacheMs, hasFailover, knowsInstances } = schedule.settings;
    const policy = schedule.policies[this.policy];
    if (policy === undefined) throw new Error(`there is no policy ${this.policy}`);
    const on = this.name;
    const failover = {
      deadlineMs,
      instances: knowsInstances ? schedule.instances.length : undefined,
      journal: this.journal ?? undefined,
    };
    return createHostedLimiter({
      policy,
      store: new Connection(machine, network, server, batching),
      denyCacheMs,
      failover: hasFailover ? failover : false,
      onDecision: (decision, { toolCallId = "" }) => this.decisions.get(toolCallId)?.(decision),
      onEvent: (event) => log.add({ atMs: world.nowMs, type: "event", on, event }),
    });
  }

  /** Ends the process at once. */
  kill(losesWrites: number): void {
    this.machine?.kill();
    this.machine = null;
    this.limiter = null;
    this.journal?.lose(losesWrites);
  }

  jump(ms: number): void {
    this.#jumpedMs += ms;
    this.machine?.jump(ms);
  }
}
