// How a hold ends: its units are settled with what the call used, once.

import { usageOf } from "../kernel/answer.ts";
import type { Cost } from "../kernel/call.ts";
import { checkCost } from "../kernel/charge.ts";
import type { Usage } from "../kernel/decision.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { digest, onceKey } from "../kernel/key.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Once, StepEvent, StepReply } from "../kernel/request.ts";
import { ask } from "./ask.ts";
import { type CallOptions, checkCallOptions } from "./call-options.ts";
import { tagOfCall } from "./call-plan.ts";
import { isHeldOnly } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import { endableBuckets, type HeldBucket, type HeldCall, type Unnamed, unitsAtEnd } from "./held-call.ts";
import { emitEvent } from "./listener.ts";
import { type CountedOutcome, reportSteps } from "./report.ts";

/** The result of settling a hold. */
export interface Settlement<Limit extends string = string> {
  /**
   * `late`: the hold had expired; where the expiry charged it, only usage beyond that was booked. `unknown-hold`: there was no
   * such hold, or it ended ten minutes ago or longer; all of the usage was booked.
   */
  readonly status: "settled" | "late" | "unknown-hold";
  /** Whether this repeats an earlier settlement. */
  readonly replayed: boolean;
  /** The usage of each bucket afterwards. */
  readonly usages: readonly Usage<Limit>[];
}

/** A bucket, and the units that it is settled with. */
interface Settling {
  readonly bucket: HeldBucket;
  readonly units: number;
}

interface End {
  readonly usage: Cost;
  /** What units cost that `usage` does not name. */
  readonly unnamed: Unnamed;
  /** The outcome of the call, for limits that count outcomes: booked together with the units, and once. */
  readonly outcomes?: readonly CountedOutcome[];
}

export async function settle(
  context: LimiterContext,
  held: HeldCall,
  { usage, unnamed, outcomes = [] }: End,
  options: CallOptions = {},
): Promise<Settlement> {
  checkCallOptions(options);
  checkUsage(held.policy, usage);
  const settlings = (await endableBuckets(context, held))
    .map((bucket): Settling => ({ bucket, units: unitsAtEnd(held, bucket, usage, unnamed) }))
    .filter(({ bucket, units }) => bucket.held > 0 || units > 0);
  const once = onceFor(context, held, settlings, outcomes);
  const makeRequest = () => {
    const steps = settlings.map(({ bucket, units }) => context.calendar.stepOf(bucket, endOf(held, bucket, units)));
    steps.push(...reportSteps(context, outcomes));
    return { mode: "force", steps, ...(once === null ? {} : { once }) } as const;
  };
  const reply = await ask(context, makeRequest, options);
  for (const { bucket } of settlings) if (isHeldOnly(bucket)) context.slots.freed(bucket.key);
  const replayed = reply.replay !== undefined;
  // A call that never started is released, too. Usage beyond an ended hold (`withoutHold`) names no hold that could be unknown.
  const isRelease = unnamed === "nothing";
  if (replayed && reply.replay?.request !== once?.request) {
    throw isRelease ? alreadySettled(held.id) : settledDifferently(held.id, usage);
  }
  const status = statusOf(settlings, reply.steps);
  if (status === "unknown-hold" && !replayed && !isRelease) {
    emitEvent(context, { type: "hold.unknown", call: held.call, holdId: held.id, booked: bookedIn(settlings) });
  }
  const usages = settlings.flatMap(({ bucket }, i) =>
    usageOf(bucket, { ...reply, steps: reply.steps.slice(i, i + 1) }),
  );
  return { status, replayed, usages };
}

function endOf({ name }: HeldCall, { held }: HeldBucket, units: number): StepEvent {
  return held > 0 ? { type: "settle", id: name, units } : { type: "charge", cost: units };
}

/** The store remembers a settlement under the hold's name. */
function onceFor(
  { prefix }: LimiterContext,
  { name, policy, call, buckets }: HeldCall,
  settlings: readonly Settling[],
  outcomes: readonly CountedOutcome[],
): Once | null {
  const tag = tagOfCall(policy, call, buckets);
  if (tag === null) return null;
  const numbers = settlings.map(({ bucket, units }) => [bucket.key, units]);
  const counted = outcomes.map(({ match, outcome }) => [match.key, outcome]);
  const request = digest(counted.length === 0 ? numbers : [numbers, counted]);
  return { key: onceKey(prefix, tag, "settled", name), request };
}

/** The status of a hold, from the replies of its buckets. Nothing was held where a quota is unlimited. */
function statusOf(settlings: readonly Settling[], replies: readonly StepReply[]): Settlement["status"] {
  const found = replies.flatMap(({ found = [] }, i) => (settlings[i]?.bucket.allotment.quota === null ? [] : found));
  if (found.includes("late")) return "late";
  return found.length > 0 && found.every((each) => each === "unknown") ? "unknown-hold" : "settled";
}

function bookedIn(settlings: readonly Settling[]): Cost {
  const booked: Record<string, number> = {};
  for (const { bucket, units } of settlings) {
    const { unit } = bucket.limit;
    if (!isHeldOnly(bucket)) booked[unit] = Math.max(booked[unit] ?? 0, units);
  }
  return booked;
}

/** Validates a usage. It has the form of a cost, but errors call it usage. */
function checkUsage(policy: CompiledPolicy, usage: Cost): void {
  try {
    checkCost(policy, usage);
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    const faults = error.faults.map((fault) => ({ ...fault, path: fault.path.replace(/^cost/, "usage") }));
    throw new MisuseError(error.code, faults);
  }
}

function settledDifferently(id: string, usage: Cost): MisuseError {
  const expected = `what the hold ${id} was settled with before`;
  const hint = "A hold ends once. This one was settled with other numbers, or released: that stays.";
  return new MisuseError("already-settled", { path: "usage", expected, got: formatGot(usage), hint });
}

function alreadySettled(id: string): MisuseError {
  const expected = "a hold that was not settled: what it used is booked, and nothing is left to release";
  return new MisuseError("already-settled", { path: "holdId", expected, got: formatGot(id) });
}
