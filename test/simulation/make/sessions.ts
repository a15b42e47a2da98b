// Sessions of agents in the shape of real ones: how many turns a session has, how many calls a turn, and which tools. The shapes
// are those of the airline runs of tau-bench (93 sessions, 572 calls). Beside them there are runaways.

import type { Random } from "../random.ts";
import type { Call } from "../schedule.ts";
import { JOB } from "./policies.ts";

/** How many of 93 sessions had so many turns. */
const TURNS = { "1": 18, "2": 21, "3": 20, "4": 18, "5": 10, "7": 4, "10": 2 } as const;
/** How many turns had so many calls. */
const CALLS_IN_TURN = { "1": 173, "2": 52, "3": 27, "4": 7, "5": 6, "6": 5, "8": 5, "11": 7, "16": 1 } as const;
/** How often each tool was called. */
const TOOLS = {
  details: 190,
  search: 70,
  user: 61,
  update: 51,
  think: 47,
  calculate: 42,
  cancel: 31,
  book: 28,
  [JOB]: 52,
} as const;

/** A call at its time. */
export interface TimedCall {
  readonly atMs: number;
  readonly call: Call;
}

/** The calls of one session. */
export function sessionCalls(session: string, beginMs: number, random: Random): TimedCall[] {
  const user = `u${random.whole(0, 2)}`;
  const calls: TimedCall[] = [];
  let atMs = beginMs;
  const turns = Number(random.weighted(TURNS));
  for (let turn = 1; turn <= turns; turn++) {
    const count = Number(random.weighted(CALLS_IN_TURN));
    for (let i = 0; i < count; i++) {
      calls.push({ atMs, call: { tool: random.weighted(TOOLS), session, turn: `t${turn}`, user } });
      // Some agents call tools in parallel.
      atMs += random.chance(0.2) ? 0 : random.whole(20, 800);
    }
    atMs += random.whole(200, 4_000);
  }
  return calls;
}

/** An agent that calls one tool again and again. */
export function runawayCalls(session: string, beginMs: number, random: Random): TimedCall[] {
  const call = { tool: random.weighted(TOOLS), session, turn: "t1", user: `u${random.whole(0, 2)}` };
  const count = random.whole(20, 120);
  const gapMs = random.pick([0, 2, 10, 50]);
  return Array.from({ length: count }, (_, i) => ({ atMs: beginMs + i * gapMs, call }));
}

/** A tool that many sessions call at once, so that instances borrow units for it. */
export function busyCalls(beginMs: number, random: Random): TimedCall[] {
  const tool = random.weighted(TOOLS);
  const count = random.pick([150, 400]);
  const gapMs = random.pick([1, 2, 5]);
  return Array.from({ length: count }, (_, i) => {
    const session = `b${random.whole(0, 30)}`;
    return { atMs: beginMs + i * gapMs, call: { tool, session, turn: `t${i % 7}`, user: `u${random.whole(0, 2)}` } };
  });
}
