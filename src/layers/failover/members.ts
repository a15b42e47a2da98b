// Which one of how many an instance is, as far as the store has said.

import { randomId } from "../../ids.ts";
import { monotonicClock, systemClock } from "../../clock.ts";
import type { Beat, Member } from "../../store/shared-store.ts";
import type { Place } from "./shares.ts";

/** The most instances of the last hour or two count. */
const HOUR_MS = 3_600_000;

let namesMade = 0;

/** What an instance calls itself. */
export type InstanceNames = Pick<Member, "group" | "instance">;

/**
 * The names of a new instance of a group. Its own is made now, because the first random values of a process take milliseconds. In
 * the global scope of a Worker, which has none, it is made when it is first read.
 */
export function instanceNames(group: string): InstanceNames {
  let name: string | undefined;
  const names = {
    group,
    get instance() {
      name ??= newName();
      return name;
    },
  };
  try {
    name = newName();
  } catch {}
  return names;
}

/** A name that no other instance has. Ranks are in the order of names, so an instance that comes later moves none. */
function newName(): string {
  // Padded, so that names sort by the time of their making.
  const padded = (number: number) => number.toString(36).padStart(8, "0");
  return `${padded(systemClock.nowMs())}-${padded(namesMade++)}-${randomId().slice(0, 8)}`;
}

export class Members {
  /** The option `instances`. */
  readonly #option: number | undefined;
  readonly #hasJournal: boolean;
  #rank: number | null = null;
  /** The highest count of this hour and of the last, by hour. */
  #counts = new Map<number, number>();
  /** The highest of both. */
  #highest = 0;

  constructor(option: number | undefined, hasJournal: boolean) {
    this.#option = option;
    this.#hasJournal = hasJournal;
  }

  /**
   * For how often to ask the store: how many it has counted, because that is how many run; before that the option. For shares the
   * option comes first (`place`).
   */
  get count(): number {
    return this.#highest > 0 ? this.#highest : (this.#option ?? 1);
  }

  /** Learns from a beat. Returns whether there are more instances than before. */
  learn({ instances, rank }: Beat): boolean {
    const before = this.#highest;
    const hour = Math.floor(monotonicClock.nowMs() / HOUR_MS);
    const ofHour = (each: number) => this.#counts.get(each) ?? 0;
    this.#counts = new Map([
      [hour - 1, ofHour(hour - 1)],
      [hour, Math.max(instances, ofHour(hour))],
    ]);
    this.#highest = Math.max(...this.#counts.values());
    // A store that has lost data, or that some instances do not reach, counts fewer: there, two of them may have the same rank.
    if (instances >= this.#highest || this.#rank === null) this.#rank = rank;
    return this.#highest > before;
  }

  /**
   * Which one of how many this instance is; `null` where that is not known. One that starts while the store is away, and
   * does not know what it admitted before, admits nothing.
   */
  place(): Place | null {
    if (this.#highest === 0 && !(this.#hasJournal && this.#option !== undefined)) return null;
    const instances = this.#option ?? this.#highest;
    return { instances, rank: this.#rank === null ? null : Math.min(this.#rank, instances - 1) };
  }
}
