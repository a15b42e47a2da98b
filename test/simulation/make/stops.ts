// An operator stops a limit of which units were granted: by a reload of one instance, and by another reload back.

import type { PolicyInput } from "tollgate";
import type { Random } from "../random.ts";
import type { Fault, PlannedCall } from "../schedule.ts";
import { bucketOf, GRANTABLE, withoutKey } from "./operators.ts";
import { JOB } from "./policies.ts";

/** How often a schedule has this, if one of its policies stops a limit that takes grants. */
const CHANCE = 0.3;

/** What the operator does, and the calls that come meanwhile. */
interface Stop {
  readonly calls: readonly PlannedCall[];
  readonly faults: readonly Fault[];
}

const NOTHING: Stop = { calls: [], faults: [] };

/** @param calls what the schedule has already: one of them uses the bucket */
export function makeStop(policies: readonly PolicyInput[], calls: readonly PlannedCall[], random: Random): Stop {
  const stops = policies.flatMap(({ limits }, policy) =>
    limits.filter(({ name, quota }) => GRANTABLE.has(name) && quota === 0).map((limit) => ({ policy, limit })),
  );
  // A job cannot be consumed.
  const used = calls.filter((planned) => "call" in planned).filter(({ call }) => call.tool !== JOB);
  if (stops.length === 0 || used.length === 0 || !random.chance(CHANCE)) return NOTHING;
  const { policy, limit } = random.pick(stops);
  const { call, atMs, instance } = random.pick(used);
  const at = (afterMs: number) => ({ id: 0, atMs: atMs + afterMs, instance });
  const again = (afterMs: number): PlannedCall => ({ ...at(afterMs), verb: "consume", call: withoutKey(call) });
  const reload = (afterMs: number, to: number): Fault => {
    return { type: "reload", atMs: atMs + afterMs, instance, policy: to };
  };
  const bucket = bucketOf(limit, call);
  const grant = { verb: "grant", bucket, grantId: "g0", units: 5, durationMs: 600_000 } as const;
  return {
    calls: [{ ...at(10), ...grant }, again(200), again(250), again(500)],
    faults: [reload(150, policy), reload(450, 0)],
  };
}
