// The levels right after the holds of a bucket that flows (`Flow`): when one of them is given back, those above it sink.

import type { Level } from "../algorithms/rules/rules.ts";
import { moveItem } from "./lists.ts";

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

/** Where a level stands by now. */
export function standing(all: SinkingLevels, i: number, level: Level): Level {
  const height = Math.max(0, (all.levels[i] as number) - all.sunk);
  if (height === level.level) return level;
  return { baseMs: level.baseMs, level: height, levelPerUnit: level.levelPerUnit };
}

/** Lets all levels sink that are above one that gives back. Those before `from` are over. */
export function sink(all: SinkingLevels, below: Level, by: number, from: number): void {
  if (all.isRising) {
    all.sunk += by;
    return;
  }
  const { bases, levels } = all;
  const { baseMs, level } = below;
  for (let i = from; i < levels.length; i++) {
    const base = bases[i] as number;
    const height = levels[i] as number;
    // `isAbove`, written out, because this runs for each pair of entries.
    if (base > baseMs || (base === baseMs && height > level)) levels[i] = Math.max(0, height - by);
  }
}

/** Puts a level that was just booked, above all others, at `to` in place of what was at `from`. */
export function replace(all: SinkingLevels, from: number, to: number, level: Level | null): void {
  const { bases, levels, sunk } = all;
  for (let i = 0; i < levels.length; i++) levels[i] = Math.max(0, (levels[i] as number) - sunk);
  // Those behind it are below it.
  all.isRising = false;
  all.sunk = 0;
  moveItem(bases, from, to, level === null ? -1 : level.baseMs);
  moveItem(levels, from, to, level === null ? -1 : level.level);
}
