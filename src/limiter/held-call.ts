// A call whose units are held: what each limit holds and has charged already.

import type { Call, Cost } from "../kernel/call.ts";
import type { Bucket, Match } from "../kernel/charge.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";
import { isHeldOnly, onErrorOf, type PlannedCharge } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import { holdNameOf, isPerArgs, newHoldId } from "./hold-id.ts";
import { isRestarted } from "./policy-change.ts";

/** One limit of a held call: its units that are held, and its units that were charged at once. */
export interface HeldBucket extends Bucket {
  readonly held: number;
  readonly charged: number;
}

/** What a unit costs that a settlement does not name: what was held, what the limit's `onError` says, or nothing. */
export type Rest = "held" | "onError" | "nothing";

export interface HeldCall {
  /** The id of the hold, for the program. */
  readonly id: string;
  /** The name of the hold, in the store. */
  readonly name: string;
  /** The policy that the call began with. */
  readonly policy: CompiledPolicy;
  readonly call: Call;
  readonly buckets: readonly HeldBucket[];
  /** Of a hold that was found by its id: quotas that came with the id. The others are looked up when the hold is used. */
  readonly quotas?: ClaimedQuotas;
}

/** All limits that match a call, with what each was asked. A limit that had no price may still get the actual usage. */
export function heldBuckets(matches: readonly Match[], charges: readonly PlannedCharge[]): HeldBucket[] {
  return matches.map((match) => {
    const charge = charges.find(({ key }) => key === match.key);
    const units = charge?.cost ?? 0;
    const isHeld = charge?.event === "hold" && match.allotment.isCounted;
    return { ...match, held: isHeld ? units : 0, charged: charge?.event === "charge" ? units : 0 };
  });
}

/** How much of each unit is held, or was charged when the hold was made. */
export function pricesOf({ buckets }: HeldCall): Cost {
  const prices: Record<string, number> = {};
  for (const { held, charged, limit } of buckets) {
    if (limit.isPriced && held + charged > 0) prices[limit.unit] = Math.max(prices[limit.unit] ?? 0, held + charged);
  }
  return prices;
}

/** The same call under another id, with nothing held or charged: settling it books all of the actual usage. */
export function withoutHold(held: HeldCall): HeldCall {
  const id = newHoldId(true, isPerArgs(held.policy, held.call));
  const buckets = held.buckets.map((bucket) => ({ ...bucket, held: 0, charged: 0 }));
  return { ...held, id, name: holdNameOf(held.policy, id, held.call), buckets };
}

/**
 * The buckets where a hold can be ended, with their quotas. A limit that counts from zero since a reload is left out: the hold is
 * not there.
 */
export async function bucketsOf({ policy, quotas }: LimiterContext, held: HeldCall): Promise<readonly HeldBucket[]> {
  const buckets = held.quotas === undefined ? held.buckets : await quotas.of(held.buckets, held.quotas);
  return policy === held.policy ? buckets : buckets.filter(({ limit }) => !isRestarted(policy, limit));
}

/** What a bucket is charged at the end, beyond what it was charged before. */
export function actualOf({ policy, call }: HeldCall, bucket: HeldBucket, actual: Cost, rest: Rest): number {
  const { held, charged, limit, allotment } = bucket;
  if (!limit.isPriced || !allotment.isCounted) return 0;
  // A slot is not spent: its usage has no meaning, and must not make two equal settles differ.
  if (isHeldOnly(bucket)) return held;
  const named = Object.hasOwn(actual, limit.unit) ? actual[limit.unit] : undefined;
  const isKept = rest === "onError" ? onErrorOf(policy, call, limit) === "charge" : rest === "held";
  if (held > 0) return named ?? (isKept ? held : 0);
  return Math.max(0, (named ?? charged) - charged);
}
