// A store with few calls in flight, beside rate-limiter-flexible: what redis-few and postgres-few share.

import { type Limit, ONE, roomy, scheduleOf, THREE } from "./calls.ts";
import { number } from "./harness.ts";
import { type Contender, race, type Schedule, type Speed, type Timer } from "./race.ts";
import { atLeast, type Goal, type Measured, speedTables } from "./section.ts";

// As many calls for each session as in the other sections.
const CALLS_PER_SESSION = 8;
const SHORT_SESSIONS = 20;

export interface Load {
  readonly inFlight: number;
  /** In a full run. */
  readonly calls: number;
  /** How many times as fast as the peer Tollgate should be. */
  readonly one: number;
  readonly three: number;
}

interface Few {
  /** What the goals call the store. */
  readonly store: string;
  readonly loads: readonly Load[];
  readonly rounds: number;
  contenders(group: string, limits: readonly Limit[], inFlight: number): Contender[];
  /** Where the rounds take place. Absent: in this process. */
  timer?(schedule: Schedule): Timer;
  /** With what Tollgate is compared, and why it may be slower. */
  peerIn(speeds: readonly Speed[], group: string, limits: readonly Limit[]): { peer: Speed; reason?: string };
}

export async function measureFew(isShort: boolean, few: Few): Promise<Measured> {
  const { store, loads } = few;
  const speeds: Speed[] = [];
  const goals: Goal[] = [];
  const compare = async (what: string, given: readonly Limit[], { inFlight, calls }: Load, wanted: number) => {
    const group = `${what}, ${inFlight} in flight`;
    const limits = roomy(given);
    const sessions = isShort ? SHORT_SESSIONS : calls / CALLS_PER_SESSION;
    const count = sessions * CALLS_PER_SESSION;
    const schedule = { sessions, calls: count };
    const contenders = few.contenders(group, limits, inFlight);
    const all = scheduleOf(sessions, count);
    speeds.push(...(await race(contenders, all, isShort ? 1 : few.rounds, few.timer?.(schedule))));
    const { peer, reason } = few.peerIn(speeds, group, limits);
    goals.push(atLeast(`${store}, ${group}: times as fast as ${peer.name}`, wanted, 1 / peer.ratio, reason));
  };
  for (const load of loads) await compare("one limit", ONE, load, load.one);
  for (const load of loads) await compare("three limits", THREE, load, load.three);
  return {
    tables: speedTables(speeds),
    work: loads.map(({ calls, inFlight }) => `${number(calls)} calls with ${inFlight} in flight`).join(", "),
    goals,
  };
}
