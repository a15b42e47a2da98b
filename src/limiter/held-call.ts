// A call whose units are held: what each limit holds and has charged already.

import type { Call, Cost } from "../kernel/call.ts";
import type { Bucket, Match } from "../kernel/charge.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";
import { isHeldOnly, onErrorOf, type PlannedCharge } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import { type HoldNames, newHold } from "./hold-id.ts";
import { isRestarted } from "./policy-change.ts";

/** One limit of a held call: its units that are held, and its units that were charged at once. */
export interface HeldBucket extends Bucket {
  readonly held: number;
  readonly charged: number;
}

/** What a unit costs that a settlement does not name: what was held, what the limit's `onError` says, or nothing. */
export type Unnamed = "held" | "onError" | "nothing";

export interface HeldCall extends HoldNames {
  /** The policy that the call began with. */
  readonly policy: CompiledPolicy;
  readonly call: Call;
  readonly buckets: readonly HeldBucket[];
  /** Quotas that came with the id of an earlier hold: with them the quotas are looked up. Absent: the buckets have theirs. */
  readonly quotas?: ClaimedQuotas;
}

/** A hold that was made before, found by its id and its call. */
export interface FoundHold {
  readonly held: HeldCall;
  readonly matches: readonly Match[];
}

/** The bucket of each limit that matches a call, with what it was asked. A limit that had no price may still get the actual usage. */
export function bucketsOfCall(matches: readonly Match[], charges: readonly PlannedCharge[]): HeldBucket[] {
  return matches.map((match) => {
    const charge = charges.find(({ key }) => key === match.key);
    const units = charge?.cost ?? 0;
    const isHeld = charge?.kind === "hold" && match.allotment.isCounted;
    return { ...match, held: isHeld ? units : 0, charged: charge?.kind === "charge" ? units : 0 };
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
  const buckets = held.buckets.map((bucket) => ({ ...bucket, held: 0, charged: 0 }));
  return { ...held, ...newHold(held.policy, held.call, true), buckets };
}

/**
 * The buckets where a hold can be ended, with their quotas. A limit that counts from zero since a reload is left out: the hold is
 * not there.
 */
export async function endableBuckets(
  { policy, quotaLookup }: LimiterContext,
  held: HeldCall,
): Promise<readonly HeldBucket[]> {
  const buckets = held.quotas === undefined ? held.buckets : await quotaLookup.of(held.buckets, held.quotas);
  return policy === held.policy ? buckets : buckets.filter(({ limit }) => !isRestarted(policy, limit));
}

/** Units that a bucket is charged at the end, beyond what it was charged before. */
export function unitsAtEnd({ policy, call }: HeldCall, bucket: HeldBucket, usage: Cost, unnamed: Unnamed): number {
  const { held, charged, limit, allotment } = bucket;
  if (!limit.isPriced || !allotment.isCounted) return 0;
  // A slot is not spent: its usage has no meaning, and must not make two equal settles differ.
  if (isHeldOnly(bucket)) return held;
  const named = Object.hasOwn(usage, limit.unit) ? usage[limit.unit] : undefined;
  if (held === 0) return Math.max(0, (named ?? 0) - charged);
  const isKept = unnamed === "onError" ? onErrorOf(policy, call, limit) === "charge" : unnamed === "held";
  return named ?? (isKept ? held : 0);
}
