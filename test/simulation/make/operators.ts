// What operators do to buckets that calls use: resets, grants and revokes.

import type { LimitInput } from "tollgate";
import type { Random } from "../random.ts";
import type { Call, NamedBucket, PlannedCall } from "../schedule.ts";
import { JOB } from "./policies.ts";
import type { Demand } from "./calls.ts";

/** Limits that take grants. */
export const GRANTABLE: ReadonlySet<string> = new Set(["shared", "session", "tokens"]);

export function operatorCalls(
  { policy, instances, fromMs, untilMs }: Demand,
  calls: readonly PlannedCall[],
  random: Random,
): PlannedCall[] {
  // A job cannot be consumed.
  const used = calls.filter((planned) => "call" in planned).filter(({ call }) => call.tool !== JOB);
  const limits = policy.limits.filter(({ name }) => GRANTABLE.has(name));
  if (used.length === 0 || limits.length === 0) return [];
  return Array.from({ length: random.whole(1, 4) }, (_, i): PlannedCall[] => {
    const { call, atMs: usedAtMs, instance: usedBy } = random.pick(used);
    const limit = random.pick(limits);
    const bucket = bucketOf(limit, call);
    // Some act on a bucket that is in use, through the instance that a call asks soon afterwards.
    const isInUse = random.chance(0.6);
    const atMs = isInUse ? usedAtMs + random.whole(1, 60) : random.whole(fromMs, untilMs);
    const instance = isInUse ? usedBy : random.whole(0, instances - 1);
    const after: PlannedCall[] = isInUse
      ? [{ id: 0, atMs: atMs + random.pick([20, 100, 400]), instance, verb: "consume", call: withoutKey(call) }]
      : [];
    const at = { id: 0, atMs, instance, bucket };
    const verb = random.weighted({ reset: 2, grant: 3, revoke: 1 });
    const grantId = `g${random.whole(0, i)}`;
    if (verb === "reset") return [{ ...at, verb }, ...after];
    if (verb === "revoke") return [{ ...at, verb, grantId }, ...after];
    const units = random.pick([1, 5, 20]);
    return [{ ...at, verb, grantId, units, durationMs: random.pick([500, 600_000]) }, ...after];
  }).flat();
}

/** The bucket of a limit that a call uses. */
export function bucketOf({ name, per }: LimitInput, call: Call): NamedBucket {
  const dimensions = Object.fromEntries(per.map((dimension) => [dimension, String(call[dimension as keyof Call])]));
  return { ...dimensions, limit: name };
}

export function withoutKey({ idempotencyKey: _, ...call }: Call): Call {
  return call;
}
