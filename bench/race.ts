// Rounds: contenders take turns, are checked, and come to medians and ratios. It knows no contender.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { arrivingAgain, type Call } from "./calls.ts";
import { median, progress } from "./harness.ts";

/** Whose figure it is: ours, another limiter's, or that of code which does nothing but the least that is needed. */
export type Kind = "tollgate" | "peer" | "floor";

interface Named {
  /** Contenders of one group do the same work; the first of a group is what the others are compared with. */
  readonly group: string;
  readonly name: string;
  readonly kind: Kind;
}

/** One way to decide the same calls. */
export interface Contender extends Named {
  /** Other calls than the others', as many, where it is calls that are compared. */
  readonly calls?: readonly Call[];
  /** How many of these calls it must admit, by its own rule. */
  readonly mustAdmit: (calls: readonly Call[]) => number;
  /** Makes a fresh state, which each round has. Neither this nor `close` is timed. */
  open(calls: readonly Call[]): Opened | Promise<Opened>;
}

/** A contender's state for one round. */
export interface Opened {
  /** Decides all calls. Resolves with how many were admitted. */
  run(): Promise<number>;
  close(): Promise<void>;
}

/** What the rounds of one contender came to. */
export interface Speed extends Named {
  /** Of the calls of a round; in all rounds the same. */
  readonly admitted: number | "all" | "none";
  /** Decisions per second, round by round. */
  readonly rounds: readonly number[];
  readonly median: number;
  /** The median of what each round was to the same round of its group's first. */
  readonly ratio: number;
}

/** One caller in a loop: one way to answer the same call again and again. */
export interface LoopContender extends Named {
  /** Whether each call is admitted, or each denied. */
  readonly admits: boolean;
  open(): Promise<{ decide(): Promise<{ readonly allowed: boolean }>; close(): Promise<void> }>;
}

/**
 * Runs all contenders in turn, round after round, after one round of a quarter of the calls that only warms up: what
 * disturbs the machine for a while disturbs all of them.
 *
 * @throws Error when one admits another number of calls than it must
 */
export async function race(contenders: readonly Contender[], calls: readonly Call[], rounds: number): Promise<Speed[]> {
  const expected = contenders.map((contender) => contender.mustAdmit(contender.calls ?? calls));
  const speeds = await inTurn(contenders, rounds, async (contender, i, isWarmUp) => {
    const all = contender.calls ?? calls;
    if (!isWarmUp) return all.length / (await timed(contender, all, expected[i] ?? 0));
    const some = all.slice(0, all.length >> 2);
    return some.length / (await timed(contender, some, contender.mustAdmit(some)));
  });
  return contenders.map((contender, i) => speedOf(contenders, contender, speeds, expected[i] ?? 0));
}

/**
 * The same for loops, which run for so long each.
 *
 * @throws Error when one answers otherwise than it must
 */
export async function raceLoops(contenders: readonly LoopContender[], ms: number, rounds: number): Promise<Speed[]> {
  const speeds = await inTurn(contenders, rounds, (contender) => loop(contender, ms));
  return contenders.map((contender) => speedOf(contenders, contender, speeds, contender.admits ? "all" : "none"));
}

/** Each round begins with another one, so that none is always the first. */
export async function inTurn<Each>(
  contenders: readonly Each[],
  rounds: number,
  measure: (contender: Each, i: number, isWarmUp: boolean) => Promise<number>,
): Promise<number[][]> {
  const measured = contenders.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const turn of contenders.keys()) {
      const i = (turn + round) % contenders.length;
      const one = await measure(contenders[i] as Each, i, round === 0);
      if (round > 0) measured[i]?.push(one);
    }
  }
  return measured;
}

/** The median of what each round of one was to the same round of another. */
export function ratioOf(rounds: readonly number[], to: readonly number[]): number {
  return median(rounds.map((each, round) => each / (to[round] ?? Number.NaN)));
}

function speedOf(
  all: readonly Named[],
  { group, name, kind }: Named,
  speeds: number[][],
  admitted: Speed["admitted"],
): Speed {
  const own = speeds[all.findIndex((each) => each.group === group && each.name === name)] ?? [];
  const first = speeds[all.findIndex((each) => each.group === group)] ?? [];
  return { group, name, kind, admitted, rounds: own.map(Math.round), median: median(own), ratio: ratioOf(own, first) };
}

/** Seconds. */
async function timed(contender: Contender, calls: readonly Call[], expected: number): Promise<number> {
  const opened = await contender.open(calls.map(arrivingAgain));
  try {
    collectGarbage();
    const startedMs = performance.now();
    const admitted = await opened.run();
    const seconds = (performance.now() - startedMs) / 1_000;
    if (admitted !== expected) {
      throw new Error(`${contender.group}, ${contender.name}: admitted ${admitted} calls, must admit ${expected}`);
    }
    return seconds;
  } finally {
    await opened.close();
  }
}

// Looked at after so many calls: a clock takes longer than some of them.
const CALLS_A_LOOK = 100;

/** Answers per second. */
async function loop(contender: LoopContender, ms: number): Promise<number> {
  const { decide, close } = await contender.open();
  try {
    const startedMs = performance.now();
    let [answers, others, nowMs] = [0, 0, startedMs];
    while (nowMs < startedMs + ms) {
      for (let i = 0; i < CALLS_A_LOOK; i++) if ((await decide()).allowed !== contender.admits) others++;
      answers += CALLS_A_LOOK;
      nowMs = performance.now();
    }
    if (others > 0) {
      const must = contender.admits ? "admit" : "deny";
      throw new Error(
        `${contender.group}, ${contender.name}: must ${must} each call, and did otherwise ${others} times`,
      );
    }
    return (answers / (nowMs - startedMs)) * 1_000;
  } finally {
    await close();
  }
}

// Asked for at run time, so that no command line must remember a flag.
setFlagsFromString("--expose-gc");
export const collectGarbage: () => void = runInNewContext("gc");
