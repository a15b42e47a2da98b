// A call from its decision to its end: units are held while the function runs, and settled however that ends.

import type { Cost } from "../kernel/call.ts";
import type { Match } from "../kernel/charge.ts";
import type { Allowed } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { Begun, RunOptions } from "./begun.ts";
import { checkCallOptions } from "./call-options.ts";
import { bareHold, type HoldOf, holdOf, pricesOf, type ReserveOptions, type Rest, settle } from "./hold.ts";
import { keepAlive } from "./keep-alive.ts";
import { type Outcome, reportFor, reportOutcome } from "./report.ts";
import { type Shared, tellEvent } from "./shared.ts";
import { type AddUsage, UsageSum } from "./usage.ts";

export type { AddUsage, AddUsageOptions } from "./usage.ts";

/** What the function of a call gets. */
export interface RunContext<Unit extends string = string> {
  /** The one that `run` was given, else one that is never aborted. */
  readonly signal: AbortSignal;
  /** Says what was used. A unit that is never reported costs its estimate. */
  readonly addUsage: AddUsage<Unit>;
}

/** What a call runs. */
export type RunFunction<Value, Unit extends string = string> = (
  context: RunContext<Unit>,
) => Value | PromiseLike<Value>;

/**
 * The options without those of `run` alone, for what makes the hold.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkRunOptions(options: RunOptions): ReserveOptions {
  checkCallOptions(options, ["signal", "quotas", "leaseMs", "maxWaitMs", "isActive"]);
  const { isActive, ...holdOptions } = options;
  if (isActive !== undefined && typeof isActive !== "function") throw invalidOption("isActive", "a function", isActive);
  return holdOptions;
}

/** The decision of a call that was allowed, and what its function returned. */
export type Ran<Value, Limit extends string = string> = Allowed<Limit> & { readonly value: Value };

/** A call that this limiter began. */
export function begunHere(
  shared: Shared,
  of: HoldOf,
  matches: readonly Match[],
  { leaseMs, replayed }: { readonly leaseMs: number | undefined; readonly replayed: boolean },
): Begun {
  const held = of.parts.filter((part) => part.held > 0);
  const leased = held.filter(({ allotment }) => allotment.quota !== null).map(({ limit }) => limit);
  return {
    call: of.call,
    hold: holdOf(shared, of),
    prices: pricesOf(of),
    held: [...new Set(held.map(({ limit }) => limit.unit))],
    units: of.policy.units,
    leaseMs: leased.length === 0 ? null : Math.min(...leased.map((limit) => leaseMs ?? limit.leaseMs)),
    maxHoldMs: of.policy.maxHoldMs,
    clock: shared.clock,
    reports: matches.some(({ limit }) => limit.reports !== null),
    replayed,
    settle: (actual, rest) => settle(shared, of, actual, rest),
    async settleWith(outcome, actual, rest) {
      if (held.length === 0 && Object.keys(actual).length === 0)
        return reportOutcome(shared, of.call, matches, outcome);
      return settle(shared, of, actual, rest, {}, reportFor(shared, of.call, matches, outcome));
    },
    book: (excess) => settle(shared, bareHold(of), excess, "nothing"),
    reportOutcome: (outcome) => reportOutcome(shared, of.call, matches, outcome),
    tell: (event) => tellEvent(shared, event),
  };
}

/** Why a call has failed whose result can no longer be read. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";

  constructor() {
    super("the reader of the answer is gone");
  }
}

/** Runs an allowed call to its end. */
export async function runBegun<Value>(begun: Begun, run: RunFunction<Value>, options: RunOptions): Promise<Value> {
  const { signal = new AbortController().signal } = options;
  const { call, hold } = begun;
  const usage = new UsageSum(begun.units, estimateOf(begun), (unusable) =>
    begun.tell({ type: "usage.unusable", call, holdId: hold.id, ...unusable }),
  );
  const alive = keepAlive(begun, options, () => usage.soFar());
  let rest: Rest = "nothing";
  let outcome: Outcome | null = null;
  try {
    signal.throwIfAborted();
    rest = "onError";
    const value = await run({ signal, addUsage: usage.add });
    rest = "held";
    outcome = { result: value };
    return value;
  } catch (error) {
    // What never began did not fail.
    if (!signal.aborted) outcome = { error };
    if (error instanceof UnreachableError) alive.tellLimit("unreachable");
    throw error;
  } finally {
    const booked = await alive.stop();
    await end(begun, usage.end(), rest, { booked, outcome: begun.reports ? outcome : null });
  }
}

/** What is charged at least while it is unknown what the call took. */
function estimateOf({ held, prices }: Begun): Cost {
  return Object.fromEntries(held.map((unit) => [unit, prices[unit] ?? 0]));
}

/** How a call ended. */
interface Ending {
  /** What was booked before, when the hold reached its limit. */
  readonly booked: Cost | null;
  /** What some limit counts; `null` where there is nothing to report. */
  readonly outcome: Outcome | null;
}

/**
 * Settles and reports, together where the hold has not ended before. A store that fails now must not take away what the
 * function has done.
 */
async function end(begun: Begun, actual: Cost, rest: Rest, { booked, outcome }: Ending): Promise<void> {
  const isPlain = begun.held.length === 0 && Object.keys(actual).length === 0;
  if (outcome !== null && booked === null && !begun.replayed) {
    const events = isPlain ? (["outcome.unreported"] as const) : (["hold.unsettled", "outcome.unreported"] as const);
    await trying(begun, events, () => begun.settleWith(outcome, actual, rest));
    return;
  }
  const excess = booked === null ? null : excessOf(actual, booked);
  const isSettled = excess === null ? isPlain : Object.keys(excess).length === 0;
  await Promise.all([
    isSettled
      ? null
      : trying(begun, ["hold.unsettled"], () => (excess === null ? begun.settle(actual, rest) : begun.book(excess))),
    outcome === null ? null : trying(begun, ["outcome.unreported"], () => begun.reportOutcome(outcome)),
  ]);
}

/** Does the last of a call. Where that fails, each of the events says so. */
async function trying(
  { call, hold, tell }: Begun,
  events: readonly ("hold.unsettled" | "outcome.unreported")[],
  act: () => Promise<unknown>,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    for (const type of events) {
      tell(type === "hold.unsettled" ? { type, call, holdId: hold.id, error } : { type, call, error });
    }
  }
}

function excessOf(actual: Cost, booked: Cost): Cost {
  const excess = Object.entries(actual).map(([unit, units]) => [unit, units - (booked[unit] ?? 0)] as const);
  return Object.fromEntries(excess.filter(([, units]) => units > 0));
}
