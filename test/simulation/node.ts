// A node: the machine of a server with its clock, and the process that runs there. Beside it stands a replica, which may take over. All
// servers of a cluster's node (its shards) have one node.

import { StoreError, type StoreErrorCode } from "../../src/store/api.ts";
import type { Machine } from "./machine.ts";
import type { Fault } from "./schedule.ts";

/** What a server answers that cannot do what it is asked, and whether it may later. */
const REFUSALS = {
  "read-only": true,
  loading: true,
  "out-of-memory": true,
  unauthorized: false,
} as const satisfies Partial<Record<StoreErrorCode, boolean>>;
export type Refusal = keyof typeof REFUSALS;

/** Whether the server refuses what it is asked for a reason that is not an outage. */
export function isRefusal(fault: Fault): boolean {
  return fault.type === "refuse" && !REFUSALS[fault.refusal];
}

/** A process of a server: it has an id of its own, and knows the scripts that it was sent. */
export interface ServerProcess {
  /** What changes when it is started, and when it takes over. */
  id: string;
  readonly scripts: Set<string>;
  /** When it became the one that answers, in the world's time. */
  sinceMs: number;
}

/** Which process answers when a node is up again: a new one, the replica, or the replica while the one before becomes a replica. */
export type Successor = "itself" | "replica" | "replica, and it stays";

export class StoreNode {
  readonly machine: Machine;
  refusal: Refusal | null = null;
  process: ServerProcess;
  #replica: ServerProcess;
  /** How many of its restarts have begun and not ended. */
  #restarting = 0;
  #ids = 0;

  constructor(machine: Machine) {
    this.machine = machine;
    this.process = this.#newProcess();
    this.#replica = this.#newProcess();
  }

  /** Whether it answers. */
  get isUp(): boolean {
    return this.#restarting === 0;
  }

  end(): void {
    this.#restarting++;
  }

  startAgain(successor: Successor): void {
    const before = this.process;
    this.process = successor === "itself" ? this.#newProcess() : this.#replica;
    if (successor !== "itself") this.#replica = successor === "replica" ? this.#newProcess() : before;
    this.process.id = this.#newId();
    this.process.sinceMs = this.machine.world.nowMs;
    this.#restarting--;
  }

  refuse(): void {
    const { refusal } = this;
    if (refusal === null) return;
    throw new StoreError(refusal, `the server says ${refusal}`, { transient: REFUSALS[refusal] });
  }

  #newId(): string {
    return `${this.machine.name}-${++this.#ids}`;
  }

  #newProcess(): ServerProcess {
    return { id: this.#newId(), scripts: new Set(), sinceMs: this.machine.world.nowMs };
  }
}
