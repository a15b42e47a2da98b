// What operators do to buckets that calls use: resets, grants and revokes.

import type { Random } from "../random.ts";
import type { Call, NamedBucket, PlannedCall } from "../schedule.ts";
import type { Demand } from "./calls.ts";

/** Limits that take grants. */
const GRANTABLE: ReadonlySet<string> = new Set(["shared", "session", "tokens"]);

export function operatorCalls(
  { policy, instances, fromMs, untilMs }: Demand,
  calls: readonly PlannedCall[],
  random: Random,
): PlannedCall[] {
  const used = calls.filter((planned) => "call" in planned);
  const limits = policy.limits.filter(({ name }) => GRANTABLE.has(name));
  if (used.length === 0 || limits.length === 0) return [];
  return Array.from({ length: random.whole(1, 4) }, (_, i): PlannedCall => {
    const { call } = random.pick(used);
    const limit = random.pick(limits);
    const dimensions = Object.fromEntries(limit.per.map((name) => [name, String(call[name as keyof Call])]));
    const bucket: NamedBucket = { ...dimensions, limit: limit.name };
    const at = { id: 0, atMs: random.whole(fromMs, untilMs), instance: random.whole(0, instances - 1), bucket };
    const verb = random.weighted({ reset: 2, grant: 3, revoke: 1 });
    const grantId = `g${random.whole(0, i)}`;
    if (verb === "reset") return { ...at, verb };
    if (verb === "revoke") return { ...at, verb, grantId };
    return { ...at, verb, grantId, units: random.pick([1, 5, 20]), durationMs: random.pick([500, 600_000]) };
  });
}
