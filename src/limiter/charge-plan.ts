// What a call asks of each limit that matches it: to charge its price at once, or to hold it until the call has ended.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import type { Call } from "../kernel/call.ts";
import type { Bucket, Charge, Match } from "../kernel/charge.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { OnError } from "../kernel/policy/input.ts";
import type { StepEvent } from "../kernel/request.ts";
import { isMarked, isRunHold, marksIn, marksOf } from "./hold-id.ts";

/** A charge, and whether its units are charged at once or held. */
export interface PlannedCharge extends Charge {
  readonly kind: "charge" | "hold";
}

/** Each method that decides a call: how the store judges its request, and what the call is charged. */
export const VERBS = {
  consume: { mode: "judge", charges: consumeCharges },
  record: { mode: "force", charges: consumeCharges },
  peek: { mode: "peek", charges: peekCharges },
  reserve: { mode: "judge", charges: (matches: readonly Match[]) => pricedCharges(matches, "to hold") },
  run: { mode: "judge", charges: runCharges },
} as const;

export type Verb = keyof typeof VERBS;

/** `consume`, `record`: nothing ends the call. Throws `needs-reserve`. */
export function consumeCharges(matches: readonly Match[]): PlannedCharge[] {
  const endless = matches.find((match) => isHeldOnly(match) && match.allotment.isCounted && match.price !== 0);
  if (endless === undefined) return plan(matches, () => "charge");
  const expected = `reserve or run, because the limit ${endless.limit.name} counts calls until they end`;
  throw new MisuseError("needs-reserve", { path: "call", expected, got: "a call whose end is never reported" });
}

/** `peek`: also where only `reserve` and `run` are allowed. */
function peekCharges(matches: readonly Match[]): PlannedCharge[] {
  return plan(matches, (match) => (isHeldOnly(match) ? "hold" : "charge"));
}

/**
 * `run`: the call's `calls` are charged when it starts, but a limit that refunds failed calls holds them until the call ends. All
 * other units are held.
 */
function runCharges(matches: readonly Match[], policy: CompiledPolicy, call: Call): PlannedCharge[] {
  const isRefund = (match: Match) => countsCalls(match) && onErrorOf(policy, call, match.limit) === "refund";
  // `chargesOfHold` has only the marks: a limit that has the mark of another one by chance must be held now, too.
  const marks = marksOf(matches.filter((match) => match.price !== 0 && isRefund(match)));
  return plan(matches, (match) => runKindOf(match, marks));
}

/** `getHold`, `end`: an earlier call made the hold. Throws `missing-cost`. */
export function chargesOfHold(id: string, matches: readonly Match[]): PlannedCharge[] {
  if (isRunHold(id)) return plan(matches, (match) => runKindOf(match, marksIn(id)));
  return pricedCharges(matches, "the hold has, as the call that was reserved said");
}

/** The charges of a running call that is sent again, each with the kind that the first id says. */
export function withKindsOf(id: string | null, charges: readonly PlannedCharge[]): PlannedCharge[] {
  const marks = id === null ? "" : marksIn(id);
  return charges.map((charge) => (countsCalls(charge) ? { ...charge, kind: runKindOf(charge, marks) } : charge));
}

/** The charges of a running call that hold its `calls`. */
export function chargesHoldingCalls(charges: readonly PlannedCharge[]): PlannedCharge[] {
  return charges.filter((charge) => countsCalls(charge) && charge.kind === "hold");
}

/** What a failed call costs in a limit: what the limit says, else its tool, else the policy. */
export function onErrorOf(policy: CompiledPolicy, { tool }: Call, limit: Limit): OnError {
  return limit.onError ?? policy.toolNamed(String(tool))?.onError ?? policy.onError;
}

/** Whether a limit counts calls that have not ended: its units can only be held. */
export function isHeldOnly({ allotment }: Pick<Bucket, "allotment">): boolean {
  return algorithmOf(allotment.spec).isHeldOnly;
}

/**
 * Whether a call starts without taking anything of a bucket, because the bucket is unlimited. Units that would be held there are
 * booked when the call ends.
 */
export function takesNothingYet({ allotment, kind }: PlannedCharge): boolean {
  return allotment.quota === null && (kind === "hold" || !allotment.isCounted);
}

/** The event of nearly every charge, shared by all of them. */
const CHARGE_ONE: StepEvent = { type: "charge", cost: 1 };
const CHARGE_NOTHING: StepEvent = { type: "charge", cost: 0 };

/** @param id of its hold, where it holds units */
export function eventOf(charge: PlannedCharge, id: string, leaseMs = charge.limit.leaseMs): StepEvent {
  const { kind, cost, limit, seen } = charge;
  if (takesNothingYet(charge)) return CHARGE_NOTHING;
  if (kind === "charge" && seen !== undefined) return { type: "charge", cost, seen };
  if (kind === "charge") return cost === 1 ? CHARGE_ONE : { type: "charge", cost };
  return { type: "hold", id, units: cost, leaseMs, onExpiry: limit.onExpiry };
}

function runKindOf(bucket: Bucket, marks: string): PlannedCharge["kind"] {
  return !countsCalls(bucket) || isMarked(marks, bucket.limit) ? "hold" : "charge";
}

/** Whether a limit counts calls that have started. */
function countsCalls(bucket: Bucket): boolean {
  return bucket.limit.unit === "calls" && bucket.limit.isPriced && !isHeldOnly(bucket);
}

/**
 * Holds all units. Throws `missing-cost`.
 *
 * @param purpose what the units are for, in the error of a call without a price
 */
function pricedCharges(matches: readonly Match[], purpose: string): PlannedCharge[] {
  const unpriced = matches.find(({ price, limit }) => price === undefined && limit.isPriced);
  if (unpriced === undefined) return plan(matches, () => "hold");
  const { name, unit } = unpriced.limit;
  const expected = `how many ${unit} ${purpose}, because the limit ${name} counts them`;
  throw new MisuseError("missing-cost", { path: `cost.${unit}`, expected, got: "nothing" });
}

/** A price of 0 leaves a limit out. An unknown price takes nothing, and is denied when nothing is left. */
function plan(matches: readonly Match[], kindOf: (match: Match) => PlannedCharge["kind"]): PlannedCharge[] {
  const charges: PlannedCharge[] = [];
  for (const match of matches) {
    const { key, limit, partitionKey, allotment, price, tool, seen } = match;
    if (price === 0) continue;
    // Seen values and elapsed time are not given back when the call has ended.
    const kind = price === undefined || !limit.isPriced ? "charge" : kindOf(match);
    const charge = { key, limit, partitionKey, allotment, cost: price ?? 0, tool, kind };
    charges.push(seen === undefined ? charge : { ...charge, seen });
  }
  return charges;
}
