// What a section of the run is, and its results. Each file in sections/ is one.

import { kindOf } from "./calls.ts";
import { number, spread } from "./harness.ts";
import type { Speed } from "./race.ts";
import type { ServerName } from "./servers.ts";

/** One question. It is measured in a process of its own, and so with a fresh heap. */
export interface Section {
  readonly title: string;
  /** The servers without which it is skipped. */
  readonly needs?: readonly ServerName[];
  /** What its figures mean and do not mean, as Markdown. */
  readonly meaning: string;
  measure(isShort: boolean): Promise<Measured>;
}

/** The results of a section. */
export interface Measured {
  /** What was asked, in a few words. */
  readonly work: string;
  readonly goals: readonly Goal[];
  readonly tables: readonly Table[];
  /** Its lines in the table at the head of the page. */
  readonly headlines?: readonly Headline[];
}

/** What the project wants to reach. */
export interface Goal {
  readonly what: string;
  readonly bound: "at least" | "at most";
  readonly wanted: number;
  readonly measured: number;
  /** Why it is missed, where it is. */
  readonly reason?: string;
}

export const isReached = ({ bound, wanted, measured }: Goal) =>
  bound === "at least" ? measured >= wanted : measured <= wanted;

export const atMost = (what: string, wanted: number, measured: number, reason?: string): Goal => {
  return { what, bound: "at most", wanted, measured, ...(reason !== undefined && { reason }) };
};

export const atLeast = (what: string, wanted: number, measured: number, reason?: string): Goal => {
  return { ...atMost(what, wanted, measured, reason), bound: "at least" };
};

/** The first cell of a row is a name. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** The column that is drawn. The default is 1. */
  readonly drawn?: number;
}

/** Tollgate beside the fastest of the others. */
export interface Headline {
  readonly what: string;
  readonly tollgate: number;
  readonly other: Speed;
}

export const headline = (speeds: readonly Speed[], group: string, other: Speed, what = group): Headline => {
  return { what, tollgate: speedNamed(speeds, group, "Tollgate").median, other };
};

/** A table for each group. The first contender of each must be Tollgate. */
export function speedTables(speeds: readonly Speed[], first = "Tollgate"): Table[] {
  return [...Map.groupBy(speeds, ({ group }) => group)].map(([group, speeds]) => ({
    head: [group, "decisions/s", "slowest to fastest round", `to ${first}`, "admitted"],
    rows: speeds.map(({ name, median, rounds, ratio, admitted }) => {
      const count = typeof admitted === "number" ? number(admitted) : admitted;
      return [name, number(median), spread(rounds), ratio.toFixed(2), count];
    }),
  }));
}

/** The fastest way to use the peers in a group. */
export function bestPeer(speeds: readonly Speed[], group: string): Speed {
  return fastest(speeds.filter((speed) => speed.group === group && kindOf(speed.name) === "peer"));
}

export function speedNamed(speeds: readonly Speed[], group: string, name: string): Speed {
  return fastest(speeds.filter((speed) => speed.group === group && speed.name === name));
}

function fastest(speeds: readonly Speed[]): Speed {
  const [first] = speeds.toSorted((a, b) => b.ratio - a.ratio);
  if (first === undefined) throw new Error("there is no such contender");
  return first;
}
