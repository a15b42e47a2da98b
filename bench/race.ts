// Interleaved rounds: contenders take turns, are checked, and get medians and ratios. This file knows no contender.

import { arrivingAgain, askAll, type Call, type Decider, type Limit, mustAdmit, type Rule } from "./calls.ts";
import { median, progress, ratioOf } from "./harness.ts";

interface Named {
  /** Contenders of a group do the same work, and are compared with its first one. */
  readonly group: string;
  readonly name: string;
}

/** One way to decide the same calls. */
export interface Contender extends Named {
  readonly limits: readonly Limit[];
  /** How it treats several limits, which says how many calls it must admit. */
  readonly rule: Rule;
  readonly inFlight: number;
  /** Calls of its own, instead of those of the race. */
  readonly calls?: readonly Call[];
  /** What each bucket has spent before a round. */
  readonly spentBefore?: number;
  /** Makes a new state for a round. Neither this nor `close` is timed. */
  open(): Promise<Opened>;
}

/** A contender's state for one round. */
export interface Opened extends Decider<unknown> {
  /** Decides all calls at once, where a contender has a way of its own. Resolves with the number of admitted ones. */
  decideAll?(calls: readonly Call[]): Promise<number>;
  close?(): Promise<void>;
}

/** The results of one contender. */
export interface Speed extends Named {
  /** Admitted calls of a round, the same in all rounds. */
  readonly admitted: number | "all" | "none";
  /** Decisions per second, round by round. */
  readonly rounds: readonly number[];
  readonly median: number;
  /** The median of the ratios to the group's first contender within each round. */
  readonly ratio: number;
}

/** One caller in a loop, which makes the same call again and again. */
export interface LoopContender extends Named {
  /** Whether each call is admitted, or each denied. */
  readonly admits: boolean;
  open(): Promise<{ decide(): Promise<{ readonly allowed: boolean }>; close(): Promise<void> }>;
}

/** So long each contender decides calls before the first round, so that its code is compiled as in a program that has run for a while. */
const WARM_UP_SECONDS = 2;

/** Of which calls a race is made: see `scheduleOf`. */
export interface Schedule {
  readonly sessions: number;
  readonly calls: number;
}

/** Decides calls as one round of a contender, and says how many seconds that took. */
export type Timer = (contender: Contender, calls: readonly Call[]) => Promise<number>;

/**
 * Runs all contenders in turn, round after round, so that a disturbance of the machine hits all of them. Each warms up first:
 * for two seconds, or with a quarter of the calls where there is only one round.
 *
 * @param secondsOf where a round takes place: in this process, unless another one is given
 * @throws Error when a contender admits another number of calls than it must
 */
export async function race(
  contenders: readonly Contender[],
  calls: readonly Call[],
  rounds: number,
  secondsOf: Timer = secondsHere,
): Promise<Speed[]> {
  const speeds = await inTurn(contenders, rounds, async (contender, isWarmUp) => {
    const all = contender.calls ?? calls;
    if (isWarmUp && rounds === 1) return secondsOf(contender, all.slice(0, all.length >> 2));
    let seconds = 0;
    do seconds += await secondsOf(contender, all);
    while (isWarmUp && seconds < WARM_UP_SECONDS);
    return all.length / seconds;
  });
  return speedsOf(contenders, speeds, (contender) => expectedOf(contender, contender.calls ?? calls));
}

/**
 * The same for loops, which run for `ms` in each round.
 *
 * @throws Error when a contender admits a call that it must deny, or the other way round
 */
export async function raceLoops(contenders: readonly LoopContender[], ms: number, rounds: number): Promise<Speed[]> {
  const speeds = await inTurn(contenders, rounds, (contender) => loop(contender, ms));
  return speedsOf(contenders, speeds, ({ admits }) => (admits ? "all" : "none"));
}

/**
 * Measures each contender once in each round, after a round that only warms up. Each round begins with another contender, and
 * every other round goes backwards, so that none is always the first or always after the same one.
 *
 * Nothing collects garbage in between: V8 would forget the shapes of what a call makes, because no call lives at that instant,
 * and with them the code that was compiled for them. A process that decides calls does not lose it.
 */
export async function inTurn<Each, Measure = number>(
  contenders: readonly Each[],
  rounds: number,
  measure: (contender: Each, isWarmUp: boolean) => Promise<Measure>,
): Promise<Measure[][]> {
  const measured = contenders.map((): Measure[] => []);
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const turn of contenders.keys()) {
      const forwards = (turn + round) % contenders.length;
      const i = round % 2 === 0 ? forwards : contenders.length - 1 - forwards;
      const result = await measure(contenders[i] as Each, round === 0);
      if (round > 0) measured[i]?.push(result);
    }
  }
  return measured;
}

function speedsOf<Each extends Named>(
  contenders: readonly Each[],
  speeds: readonly (readonly number[])[],
  admitted: (contender: Each) => Speed["admitted"],
): Speed[] {
  return contenders.map((contender, i) => {
    const { group, name } = contender;
    const own = speeds[i] ?? [];
    const first = speeds[contenders.findIndex((each) => each.group === group)] ?? [];
    const result = { rounds: own.map(Math.round), median: median(own), ratio: ratioOf(own, first) };
    return { group, name, admitted: admitted(contender), ...result };
  });
}

const expectedOf = ({ limits, rule, spentBefore }: Contender, calls: readonly Call[]) =>
  mustAdmit(calls, limits, rule, spentBefore);

export const secondsHere: Timer = (contender, calls) =>
  inRound(contender, calls, async (decideAll) => {
    const startedMs = performance.now();
    await decideAll();
    return (performance.now() - startedMs) / 1_000;
  });

/**
 * One round of a contender: `measure` calls `decideAll` once.
 *
 * @throws Error when the contender admits another number of calls than it must
 */
export async function inRound<Result>(
  contender: Contender,
  calls: readonly Call[],
  measure: (decideAll: () => Promise<unknown>) => Promise<Result>,
): Promise<Result> {
  const fresh = calls.map(arrivingAgain);
  const opened = await contender.open();
  let result: Result;
  try {
    let admitted = 0;
    result = await measure(async () => {
      admitted = await (opened.decideAll?.(fresh) ?? askAll(fresh, contender.inFlight, opened));
    });
    checkAdmitted(contender, admitted, expectedOf(contender, calls));
  } catch (error) {
    // It may find at its end that it has counted wrong, for the same reason, which must not hide that.
    await opened.close?.().catch(() => {});
    throw error;
  }
  await opened.close?.();
  return result;
}

/** @throws Error when the numbers differ */
export function checkAdmitted({ name }: Pick<Named, "name">, admitted: number, expected: number): void {
  if (admitted !== expected) throw new Error(`${name}: admitted ${admitted} calls, must admit ${expected}`);
}

/** Reading the clock takes longer than some calls, so it is read after this many. */
const CALLS_A_LOOK = 100;

/** Answers per second. */
async function loop({ group, name, admits, open }: LoopContender, ms: number): Promise<number> {
  const { decide, close } = await open();
  try {
    const startedMs = performance.now();
    let [answers, wrong, nowMs] = [0, 0, startedMs];
    while (nowMs < startedMs + ms) {
      for (let i = 0; i < CALLS_A_LOOK; i++) if ((await decide()).allowed !== admits) wrong++;
      answers += CALLS_A_LOOK;
      nowMs = performance.now();
    }
    if (wrong > 0) throw new Error(`${group}, ${name}: ${wrong} of ${answers} calls were not answered as they must`);
    return (answers / (nowMs - startedMs)) * 1_000;
  } finally {
    await close();
  }
}
