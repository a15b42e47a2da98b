// How a hold ends: its units are settled with what the call used, once.

import { usageOf } from "../kernel/answer.ts";
import type { Cost } from "../kernel/call.ts";
import { checkCost, stepOf } from "../kernel/charge.ts";
import type { Usage } from "../kernel/decision.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { digest, onceKey } from "../kernel/key.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Once, Step, StepEvent, StepReply } from "../kernel/request.ts";
import { ask } from "./ask.ts";
import { type CallOptions, checkCallOptions } from "./call-options.ts";
import { tagOfCall } from "./call-plan.ts";
import { isHeldOnly } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import { actualOf, bucketsOf, type HeldBucket, type HeldCall, type Rest } from "./held-call.ts";
import { emitEvent } from "./listener.ts";
import type { OutcomeReport } from "./report.ts";

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
interface Settled {
  readonly bucket: HeldBucket;
  readonly units: number;
}

/**
 * Ends a hold.
 *
 * @param rest what units cost that `actual` does not name
 * @param report the outcome of the call, for limits that count outcomes: booked together with the units, and once
 */
export async function settle(
  context: LimiterContext,
  held: HeldCall,
  actual: Cost,
  rest: Rest,
  options: CallOptions = {},
  report: OutcomeReport | null = null,
): Promise<Settlement> {
  checkCallOptions(options);
  checkUsage(held.policy, actual);
  const settled = (await bucketsOf(context, held))
    .map((bucket): Settled => ({ bucket, units: actualOf(held, bucket, actual, rest) }))
    .filter(({ bucket, units }) => bucket.held > 0 || units > 0);
  const once = settledOnce(context, held, settled, report);
  const makeRequest = () => {
    const steps = [...settled.map((each) => settleStep(context, held, each)), ...(report?.steps() ?? [])];
    return { mode: "force", steps, ...(once === null ? {} : { once }) } as const;
  };
  const reply = await ask(context, makeRequest, options);
  for (const { bucket } of settled) if (isHeldOnly(bucket)) context.slots.freed(bucket.key);
  const replayed = reply.replay !== undefined;
  if (replayed && reply.replay?.request !== once?.request) {
    throw rest === "nothing" ? alreadySettled(held.id) : settledDifferently(held.id, actual);
  }
  const status = statusOf(settled, reply.steps);
  // A release books nothing.
  if (status === "unknown-hold" && !replayed && rest !== "nothing") {
    emitEvent(context, { type: "hold.unknown", call: held.call, holdId: held.id, booked: bookedIn(settled) });
  }
  const usages = settled.flatMap(({ bucket }, i) => usageOf(bucket, { ...reply, steps: reply.steps.slice(i, i + 1) }));
  return { status, replayed, usages };
}

function settleStep({ calendar }: LimiterContext, { name }: HeldCall, { bucket, units }: Settled): Step {
  const event: StepEvent = bucket.held > 0 ? { type: "settle", id: name, units } : { type: "charge", cost: units };
  return stepOf(bucket, calendar.specOf(bucket), event);
}

/** The store remembers a settlement under the hold's name. */
function settledOnce(
  { prefix }: LimiterContext,
  { name, policy, call, buckets }: HeldCall,
  settled: readonly Settled[],
  report: OutcomeReport | null,
): Once | null {
  const tag = tagOfCall(policy, call, buckets);
  if (tag === null) return null;
  const numbers = settled.map(({ bucket, units }) => [bucket.key, units]);
  const outcomes = report?.matches.map(({ key }, i) => [key, report.outcomes[i]]);
  const request = digest(outcomes === undefined ? numbers : [numbers, outcomes]);
  return { key: onceKey(prefix, tag, "settled", name), request };
}

/** The status of a hold, from the replies of its buckets. Nothing was held where a quota is unlimited. */
function statusOf(settled: readonly Settled[], replies: readonly StepReply[]): Settlement["status"] {
  const found = replies.flatMap(({ hold = [] }, i) => (settled[i]?.bucket.allotment.quota === null ? [] : hold));
  if (found.includes("late")) return "late";
  return found.length > 0 && found.every((each) => each === "unknown") ? "unknown-hold" : "settled";
}

/** How much of each unit was booked. */
function bookedIn(settled: readonly Settled[]): Cost {
  const booked: Record<string, number> = {};
  for (const { bucket, units } of settled) {
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

function settledDifferently(id: string, actual: Cost): MisuseError {
  const expected = `what the hold ${id} was settled with before`;
  const hint = "A hold ends once. This one was settled with other numbers, or released: that stays.";
  return new MisuseError("already-settled", { path: "usage", expected, got: formatGot(actual), hint });
}

function alreadySettled(id: string): MisuseError {
  const expected = "a hold that was not settled: what it used is booked, and nothing is left to release";
  return new MisuseError("already-settled", { path: "holdId", expected, got: formatGot(id) });
}
