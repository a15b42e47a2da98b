// How processes ended, and what ended with them: calls that were admitted without the store, and that no journal has.

import type { Decided } from "./oracle.ts";
import type { Run } from "./run.ts";

/** One life of a process. */
interface Life {
  readonly on: string;
  /** When it was back after each outage. */
  readonly backAtMs: number[];
  /** When it ended by a kill, or by a close that could not book everything. */
  endedAtMs: number | null;
  /** Whether a later life has its journal. */
  isInherited: boolean;
}

export class Deaths {
  readonly #lives = new Map<string, Life>();

  constructor({ log, instances, schedule }: Run) {
    const lifeOf = (on: string): Life => {
      const life = this.#lives.get(on) ?? { on, backAtMs: [], endedAtMs: null, isInherited: false };
      this.#lives.set(on, life);
      return life;
    };
    for (const entry of log.entries) {
      if (entry.type === "started") lifeOf(entry.on);
      if (entry.type === "closed") lifeOf(entry.on).endedAtMs = entry.atMs;
      if (entry.type === "event" && entry.event.type === "store.recovered") lifeOf(entry.on).backAtMs.push(entry.atMs);
    }
    for (const instance of instances) {
      const { number, journal, name, program } = instance;
      const losesWrites = schedule.faults.some(
        (fault) => fault.type === "kill" && fault.instance === number && fault.losesWrites > 0,
      );
      for (const life of this.#lives.values()) {
        if (!life.on.startsWith(`p${number}.`)) continue;
        if (life.on !== name || program === null) life.endedAtMs ??= Number.POSITIVE_INFINITY;
        life.isInherited = journal !== null && program !== null && !losesWrites;
      }
    }
  }

  hasEnded(on: string): boolean {
    return this.#lives.get(on)?.endedAtMs != null;
  }

  /** Whether what was decided without the store may never have been booked, or taken back: the process ended before it could. */
  mayLose({ on, atMs }: Pick<Decided, "on" | "atMs">): boolean {
    const life = this.#lives.get(on);
    if (life === undefined || life.endedAtMs === null || life.isInherited) return false;
    return !life.backAtMs.some((backMs) => backMs > atMs);
  }
}
