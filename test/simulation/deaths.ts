// How processes ended, and what ended with them: calls that were admitted without the store, and that no journal has.

import type { Decided } from "./oracle.ts";
import type { Run } from "./run.ts";
import type { Fault } from "./schedule.ts";

/** How soon a journal forgets what was booked once there is room on its disk: with the next heartbeat, ms. */
const FORGETS_WITHIN_MS = 3_000;

/** One life of a process. */
interface Life {
  readonly on: string;
  /** When it was back after each outage. */
  readonly backAtMs: number[];
  /** When it ended by a kill, or by a close that could not book everything. */
  endedAtMs: number | null;
  /** Whether it was closed, and said that nothing was lost. */
  isBooked: boolean;
  /** Whether a later life has its journal. */
  isInherited: boolean;
}

export class Deaths {
  readonly #lives = new Map<string, Life>();
  /** Lives with a journal. */
  readonly #journals = new Set<string>();
  readonly #faults: readonly Fault[];

  constructor({ log, instances, schedule }: Run) {
    this.#faults = schedule.faults;
    const lifeOf = (on: string): Life => {
      const life = this.#lives.get(on) ?? { on, backAtMs: [], endedAtMs: null, isBooked: false, isInherited: false };
      this.#lives.set(on, life);
      return life;
    };
    const lost = new Set(log.of("event").flatMap(({ on, event }) => (event.type === "failover.lost" ? [on] : [])));
    for (const entry of log.entries) {
      if (entry.type === "started") lifeOf(entry.on);
      if (entry.type === "closed")
        Object.assign(lifeOf(entry.on), { endedAtMs: entry.atMs, isBooked: !lost.has(entry.on) });
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
        if (journal !== null) this.#journals.add(life.on);
        life.isInherited = journal !== null && program !== null && !losesWrites;
      }
    }
  }

  hasEnded(on: string): boolean {
    return this.#lives.get(on)?.endedAtMs != null;
  }

  /** How often a later process may have booked again what a life admitted: the journal could not forget that, or has lost that it did. */
  timesAgain(on: string): number {
    if (!this.#journals.has(on)) return 0;
    const faults = this.#faultsOf(on);
    const full = faults.filter((fault) => fault.type === "full-disk");
    const isWhileFull = (fromMs: number, untilMs = fromMs) =>
      full.some((fault) => fault.atMs <= untilMs && fromMs <= fault.atMs + fault.forMs + FORGETS_WITHIN_MS);
    const isAgain = (fault: Fault) => {
      if (fault.type === "close") return isWhileFull(fault.atMs, fault.atMs + fault.withinMs);
      return fault.type === "kill" && (fault.losesWrites > 0 || isWhileFull(fault.atMs));
    };
    return faults.filter(isAgain).length;
  }

  #faultsOf(on: string): Fault[] {
    return this.#faults.filter((fault) => "instance" in fault && on.startsWith(`p${fault.instance}.`));
  }

  /** Whether a disk is full at a time, and its process ends before it has written what the journal did not take. */
  #diesWhileFull(on: string, atMs: number): boolean {
    const faults = this.#faultsOf(on);
    return faults.some((full) => {
      if (full.type !== "full-disk") return false;
      const fullUntilMs = full.atMs + full.forMs;
      const isEnd = ({ type, atMs: endMs }: Fault) =>
        (type === "kill" || type === "close") && atMs <= endMs && endMs <= fullUntilMs + FORGETS_WITHIN_MS;
      return full.atMs <= atMs && atMs <= fullUntilMs && faults.some(isEnd);
    });
  }

  /** Whether what was decided without the store may never have been booked, or taken back: the process ended before it could. */
  mayLose({ on, atMs }: Pick<Decided, "on" | "atMs">, isAdmitted = false): boolean {
    const life = this.#lives.get(on);
    if (life === undefined || life.endedAtMs === null) return false;
    // While its disk is full nothing is admitted, but what it has to take back is only in its memory.
    if (life.isInherited && (isAdmitted || !this.#diesWhileFull(on, atMs))) return false;
    // What it would take back, it does not report. With a journal it reports nothing.
    if (isAdmitted && life.isBooked && !this.#journals.has(on)) return false;
    return !life.backAtMs.some((backMs) => backMs > atMs);
  }
}
