// The calls of a schedule: what sessions do, as verbs of a limiter, spread over its instances; and what operators do beside.

import type { PolicyInput } from "tollgate";
import type { Random } from "../random.ts";
import type { Call, PlannedCall, Verb } from "../schedule.ts";
import { operatorCalls } from "./operators.ts";
import { JOB } from "./policies.ts";
import { busyCalls, runawayCalls, sessionCalls, type TimedCall } from "./sessions.ts";

/** What calls are made for. */
export interface Demand {
  readonly policy: PolicyInput;
  readonly instances: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What the calls of one schedule may do. */
interface Manner {
  readonly waits: boolean;
  readonly keys: boolean;
  readonly holds: boolean;
  readonly hasTokens: boolean;
  readonly instances: number;
}

/** Most calls of a schedule. */
const MOST_CALLS = 600;

export function makeCalls(demand: Demand, random: Random): PlannedCall[] {
  const { policy, instances, untilMs } = demand;
  const hasTokens = policy.limits.some((limit) => "unit" in limit && limit.unit === "tokens");
  const manner = {
    waits: random.chance(0.4),
    keys: random.chance(0.4),
    holds: random.chance(0.4),
    hasTokens,
    instances,
  };
  const timed = timedCalls(demand, random);
  const inTime = timed.filter(({ atMs }) => atMs <= untilMs).slice(0, MOST_CALLS);
  const calls = inTime.flatMap((each, i) => plannedCalls(each, i, manner, random));
  if (random.chance(0.3)) calls.push(...operatorCalls(demand, calls, random));
  return numbered(calls);
}

/** The calls in the order of time, each with a number of its own. */
export function numbered(calls: readonly PlannedCall[]): PlannedCall[] {
  return calls.toSorted((one, other) => one.atMs - other.atMs).map((call, id) => ({ ...call, id }));
}

function timedCalls({ policy, fromMs, untilMs }: Demand, random: Random): TimedCall[] {
  const sessions = random.pick([2, 5, 12]);
  const runaways = random.pick([0, 0, 1, 2]);
  const lends = policy.limits.some((limit) => "borrow" in limit);
  const beginMs = () => random.whole(fromMs, untilMs);
  return [
    ...Array.from({ length: sessions }, (_, i) => sessionCalls(`s${i}`, beginMs(), random)),
    ...(lends && random.chance(0.6) ? [busyCalls(beginMs(), random)] : []),
    ...Array.from({ length: runaways }, (_, i) => runawayCalls(`r${i}`, beginMs(), random)),
  ].flat();
}

/** One call, or the same one twice under one key. */
function plannedCalls({ atMs, call }: TimedCall, i: number, manner: Manner, random: Random): PlannedCall[] {
  const instance = () => random.whole(0, manner.instances - 1);
  const planned = { id: 0, atMs, instance: instance(), ...askedOf(call, manner, random) } as PlannedCall;
  if (!manner.keys || !("call" in planned) || planned.verb === "peek" || !random.chance(0.2)) return [planned];
  const keyed = { ...planned, call: { ...planned.call, idempotencyKey: `k${i}` } };
  const again = { ...keyed, atMs: atMs + random.pick([0, 5, 300, 3_000]), instance: instance() };
  return random.chance(0.8) ? [keyed, again] : [keyed];
}

/** What a call asks of the limiter, without when and where. */
function askedOf(call: Call, manner: Manner, random: Random): object {
  const { waits, hasTokens, instances } = manner;
  const wait = waits && random.chance(0.3) ? { maxWaitMs: random.pick([50, 500, 5_000]) } : {};
  const cost = hasTokens ? { cost: { tokens: random.pick([1, 5, 30]) } } : {};
  const tokens = hasTokens ? random.pick([0, 3, 10, 60]) : 0;
  const lastsMs = random.pick([0, 5, 100, 2_000, 6_000]);
  const verb = verbFor(call, manner, random);
  if (verb === "reserve") {
    const ending = random.weighted({ settle: 5, release: 2, extend: 1, never: 1 });
    const endsOn = random.whole(0, instances - 1);
    const leaseMs = random.pick([500, 5_000]);
    return { verb, call: { ...call, ...cost }, ...wait, leaseMs, ending, lastsMs, endsOn, tokens };
  }
  if (verb === "run") return { verb, call: { ...call, ...cost }, ...wait, lastsMs, tokens, fails: random.chance(0.2) };
  const priced = random.chance(0.3) ? { ...call, ...cost } : call;
  if (verb !== "consume") return { verb, call: priced };
  const abort = "maxWaitMs" in wait && random.chance(0.3) ? { abortAfterMs: random.whole(0, 600) } : {};
  return { verb, call: priced, ...wait, ...abort };
}

/** A job has to hold its slot. */
function verbFor({ tool }: Call, { holds }: Manner, random: Random): Verb {
  if (tool === JOB) return random.weighted({ peek: 0.2, reserve: 1, run: 1 });
  const held = holds ? 2 : 0;
  return random.weighted({ consume: 10, record: 0.3, peek: 0.4, reserve: held, run: held });
}
