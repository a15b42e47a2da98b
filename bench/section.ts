// What a section of the run is, and what it comes to. Each file in sections/ is one.

import { number } from "./harness.ts";
import type { Kind, Speed } from "./race.ts";

/** One question, with a fresh heap of its own. */
export interface Section {
  readonly title: string;
  /** The server without which it is skipped. */
  readonly needs?: Server;
  /** What its figures mean and do not mean, as Markdown. */
  readonly meaning: string;
  measure(short: boolean): Promise<Measured>;
}

export type Server = "redis" | "postgres";

/** What a section comes to. */
export interface Measured {
  /** What was asked, in a few words. */
  readonly work: string;
  readonly goals: readonly Goal[];
  readonly tables: readonly Table[];
  /** What is drawn of it. */
  readonly panel: Panel;
  /** Every round of everything. */
  readonly rounds: unknown;
}

/** What the project wants of itself. */
export interface Goal {
  readonly what: string;
  readonly bound: "at least" | "at most";
  readonly wanted: number;
  /** `null` where what it is about is not there yet. */
  readonly measured: number | null;
}

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Bars from zero. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

export interface Bar {
  readonly name: string;
  readonly kind: Kind;
  readonly value: number;
}

export const isReached = ({ bound, wanted, measured }: Goal) =>
  measured !== null && (bound === "at least" ? measured >= wanted : measured <= wanted);

/** A table for each group. The first of each must be Tollgate. */
export function speedTables(speeds: readonly Speed[]): Table[] {
  return [...Map.groupBy(speeds, ({ group }) => group)].map(([group, speeds]) => ({
    head: [group, "decisions/s", "slowest to fastest round", "to Tollgate", "admitted"],
    rows: speeds.map(({ name, median, rounds, ratio, admitted }) => {
      const spread = `${number(Math.min(...rounds))} to ${number(Math.max(...rounds))}`;
      return [
        name,
        number(median),
        spread,
        ratio.toFixed(2),
        typeof admitted === "number" ? number(admitted) : admitted,
      ];
    }),
  }));
}

/** Tollgate, the floors, and each peer's fastest way. */
export function speedBars(speeds: readonly Speed[]): Bar[] {
  const packageOf = ({ group, name }: Speed) => `${group}: ${name.split(",")[0]}`;
  const fastestOf = Map.groupBy(speeds, packageOf);
  const isOneGroup = new Set(speeds.map(({ group }) => group)).size === 1;
  return speeds
    .filter((speed) => speed.kind !== "peer" || speed === fastest(fastestOf.get(packageOf(speed)) ?? []))
    .map(({ group, name, kind, median }) => ({ name: isOneGroup ? name : `${group}: ${name}`, kind, value: median }));
}

/** The fastest of the peers' ways in a group. */
export function bestPeer(speeds: readonly Speed[], group: string): Speed {
  return fastest(speeds.filter((speed) => speed.group === group && speed.kind === "peer"));
}

export function speedNamed(speeds: readonly Speed[], group: string, name: string): Speed {
  return fastest(speeds.filter((speed) => speed.group === group && speed.name === name));
}

function fastest(speeds: readonly Speed[]): Speed {
  const [first] = speeds.toSorted((a, b) => b.ratio - a.ratio);
  if (first === undefined) throw new Error("there is no such contender");
  return first;
}
