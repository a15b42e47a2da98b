// The levels right after the holds of a bucket that flows (`Flow`): when one of them is given back, those above it sink.

import type { Level } from "../algorithms/algorithm.ts";

/** Whether a level was booked on top of another one. */
export function isAbove(baseMs: number, level: number, other: Level): boolean {
  return baseMs > other.baseMs || (baseMs === other.baseMs && level > other.level);
}

/** A list of levels that sink one after another, as numbers alone: each of them may sink each other one. */
export interface SinkingLevels {
  /** -1 where there is no level. */
  readonly bases: number[];
  readonly levels: number[];
  /** Whether each level that may still sink is above the one before it: then `sunk` says for all of them by how much. */
  isRising: boolean;
  sunk: number;
}

/**
 * @param list the levels that may sink
 * @param lowest a level below which none of the list sinks, if the list rises; `null` where that is not known
 */
export function sinkingLevels(list: readonly (Level | null)[], lowest: Level | null): SinkingLevels {
  let isRising = lowest !== null;
  let last = lowest;
  for (const level of list) {
    if (level === null || last === null) continue;
    isRising &&= isAbove(level.baseMs, level.level, last);
    last = level;
  }
  const bases = list.map((level) => level?.baseMs ?? -1);
  const levels = list.map((level) => level?.level ?? -1);
  return { bases, levels, isRising, sunk: 0 };
}

/** Where a level stands by now. */
export function standing({ levels, sunk }: SinkingLevels, i: number, level: Level): Level {
  const height = Math.max(0, (levels[i] as number) - sunk);
  return height === level.level ? level : { ...level, level: height };
}

/** Lets all levels sink that are above one that gives back. Those before `from` are over. */
export function sink(all: SinkingLevels, below: Level, by: number, from: number): void {
  if (all.isRising) {
    all.sunk += by;
    return;
  }
  const { bases, levels } = all;
  for (let i = from; i < levels.length; i++) {
    const level = levels[i] as number;
    if (isAbove(bases[i] as number, level, below)) levels[i] = Math.max(0, level - by);
  }
}

/** Puts a level that was just booked, above all others, at `to` in place of what was at `from`. */
export function replace(all: SinkingLevels, from: number, to: number, level: Level | null): void {
  const { bases, levels, sunk } = all;
  for (let i = 0; i < levels.length; i++) levels[i] = Math.max(0, (levels[i] as number) - sunk);
  // Those behind it are below it.
  all.isRising = false;
  all.sunk = 0;
  bases.splice(from, 1);
  levels.splice(from, 1);
  bases.splice(to, 0, level?.baseMs ?? -1);
  levels.splice(to, 0, level?.level ?? -1);
}
