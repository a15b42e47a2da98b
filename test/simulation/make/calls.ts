// The calls of a schedule: what sessions do, as verbs of a limiter, spread over its instances; and what operators do beside.

import type { PolicyInput } from "tollgate";
import type { Random } from "../random.ts";
import type { Call, NamedBucket, PlannedCall, Verb } from "../schedule.ts";
import { JOB } from "./policies.ts";
import { runawayCalls, sessionCalls, type TimedCall } from "./sessions.ts";

/** What the calls of one schedule are like. */
interface Manner {
  readonly waits: boolean;
  readonly keys: boolean;
  readonly holds: boolean;
  readonly operators: boolean;
  readonly instances: number;
}

/** Most calls of a schedule. */
const MOST_CALLS = 250;

export function makeCalls(
  policy: PolicyInput,
  instances: number,
  fromMs: number,
  untilMs: number,
  random: Random,
): PlannedCall[] {
  const chance = () => random.chance(0.4);
  const manner = { waits: chance(), keys: chance(), holds: chance(), operators: random.chance(0.3), instances };
  const timed: TimedCall[] = [];
  const sessions = random.pick([2, 5, 12]);
  for (let i = 0; i < sessions; i++) timed.push(...sessionCalls(`s${i}`, random.whole(fromMs, untilMs), random));
  for (let i = random.pick([0, 0, 1, 2]); i > 0; i--)
    timed.push(...runawayCalls(`r${i}`, random.whole(fromMs, untilMs), random));
  const inTime = timed.filter(({ atMs }) => atMs <= untilMs).slice(0, MOST_CALLS);
  const calls = inTime.flatMap((each, i) => plannedCalls(each, i, manner, random));
  if (manner.operators) calls.push(...operatorCalls(policy, calls, manner, fromMs, untilMs, random));
  return calls.sort((one, other) => one.atMs - other.atMs).map((call, id) => ({ ...call, id }));
}

/** One call, or the same one twice under one key. */
function plannedCalls({ atMs, call }: TimedCall, i: number, manner: Manner, random: Random): PlannedCall[] {
  const instance = random.whole(0, manner.instances - 1);
  const planned = { id: 0, atMs, instance, ...verbFor(call, manner, random) } as PlannedCall;
  if (!manner.keys || !("call" in planned) || planned.verb === "peek" || !random.chance(0.2)) return [planned];
  const keyed = { ...planned, call: { ...planned.call, idempotencyKey: `k${i}` } };
  const again = {
    ...keyed,
    atMs: atMs + random.pick([0, 5, 300, 3_000]),
    instance: random.whole(0, manner.instances - 1),
  };
  return random.chance(0.8) ? [keyed, again] : [keyed];
}

function verbFor(call: Call, { waits, holds, instances }: Manner, random: Random): object {
  const wait = waits && random.chance(0.3) ? { maxWaitMs: random.pick([50, 500, 5_000]) } : {};
  const verb: Verb = random.weighted({
    consume: call.tool === JOB ? 0 : 10,
    record: call.tool === JOB ? 0 : 0.3,
    peek: 0.4,
    reserve: holds ? 2 : call.tool === JOB ? 1 : 0,
    run: holds ? 2 : call.tool === JOB ? 1 : 0,
  });
  const tokens = random.pick([0, 3, 10, 60]);
  const priced = { ...call, cost: { tokens: random.pick([1, 5, 30]) } };
  const lastsMs = random.pick([0, 5, 100, 2_000, 6_000]);
  if (verb === "reserve") {
    const ending = random.weighted({ settle: 5, release: 2, extend: 1, never: 1 });
    const endsOn = random.whole(0, instances - 1);
    return { verb, call: priced, ...wait, leaseMs: random.pick([500, 5_000]), ending, lastsMs, endsOn, tokens };
  }
  if (verb === "run") return { verb, call: priced, ...wait, lastsMs, tokens, fails: random.chance(0.2) };
  const abort = "maxWaitMs" in wait && random.chance(0.3) ? { abortAfterMs: random.whole(0, 600) } : {};
  return { verb, call: random.chance(0.3) ? priced : call, ...(verb === "consume" ? { ...wait, ...abort } : {}) };
}

/** Resets, grants and revokes of buckets that calls use. */
function operatorCalls(
  policy: PolicyInput,
  calls: readonly PlannedCall[],
  { instances }: Manner,
  fromMs: number,
  untilMs: number,
  random: Random,
): PlannedCall[] {
  const used = calls.filter((planned) => "call" in planned);
  if (used.length === 0) return [];
  return Array.from({ length: random.whole(1, 4) }, (_, i): PlannedCall => {
    const { call } = random.pick(used);
    const limits = policy.limits.filter(({ name }) => GRANTABLE.has(name));
    const limit = random.pick(limits.length === 0 ? policy.limits : limits);
    const dimensions = Object.fromEntries(limit.per.map((name) => [name, String(call[name as keyof Call])]));
    const bucket: NamedBucket = { ...dimensions, limit: limit.name };
    const at = { id: 0, atMs: random.whole(fromMs, untilMs), instance: random.whole(0, instances - 1), bucket };
    const how = random.weighted({ reset: 2, grant: 3, revoke: 1 });
    const grantId = `g${random.whole(0, i)}`;
    if (how === "grant")
      return { ...at, verb: how, grantId, units: random.pick([1, 5, 20]), durationMs: random.pick([500, 600_000]) };
    return how === "reset" ? { ...at, verb: how } : { ...at, verb: how, grantId };
  });
}

const GRANTABLE: ReadonlySet<string> = new Set(["shared", "session", "tokens"]);
