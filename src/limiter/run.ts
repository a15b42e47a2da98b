// Runs the function of an allowed call: units are held while it runs, and settled however it ends.

import type { Cost } from "../kernel/call.ts";
import type { Allowed } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import { checkCallOptions } from "./call-options.ts";
import type { Rest } from "./held-call.ts";
import type { ReserveOptions } from "./hold.ts";
import { keepAlive } from "./keep-alive.ts";
import type { Outcome } from "./report.ts";
import type { RunningCall, RunOptions } from "./running-call.ts";
import { type AddUsage, UsageSum } from "./usage.ts";

export type { RunOptions } from "./running-call.ts";
export type { AddUsage, AddUsageOptions } from "./usage.ts";

/** The argument of a function that `run` runs. */
export interface RunContext<Unit extends string = string> {
  /** The signal of the call's options, else one that is never aborted. */
  readonly signal: AbortSignal;
  /** Adds to the usage of the call. A unit that is never reported costs its estimate. */
  readonly addUsage: AddUsage<Unit>;
}

/** A function that `run` runs. */
export type RunFunction<Value, Unit extends string = string> = (
  context: RunContext<Unit>,
) => Value | PromiseLike<Value>;

/**
 * Validates the options of `run` alone. Returns the others, for the hold.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkRunOptions(options: RunOptions): ReserveOptions {
  checkCallOptions(options, ["signal", "quotas", "leaseMs", "maxWaitMs", "isActive"]);
  const { isActive, ...holdOptions } = options;
  if (isActive !== undefined && typeof isActive !== "function") throw invalidOption("isActive", "a function", isActive);
  return holdOptions;
}

/** The decision on a call that was allowed, and the value that its function returned. */
export type Ran<Value, Limit extends string = string> = Allowed<Limit> & { readonly value: Value };

/** The error of a call whose result can no longer be read. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";

  constructor() {
    super("the reader of the answer is gone");
  }
}

/** Runs the function of an allowed call, and ends the call. */
export async function runToEnd<Value>(
  running: RunningCall,
  run: RunFunction<Value>,
  options: RunOptions,
): Promise<Value> {
  const { signal = new AbortController().signal } = options;
  const { call, hold } = running;
  const usage = new UsageSum(running.units, estimateOf(running), (unusable) =>
    running.emit({ type: "usage.unusable", call, holdId: hold.id, ...unusable }),
  );
  const alive = keepAlive(running, options, () => usage.soFar());
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
    // A call that never started did not fail.
    if (!signal.aborted) outcome = { error };
    if (error instanceof UnreachableError) alive.emitLimit("unreachable");
    throw error;
  } finally {
    const booked = await alive.stop();
    await end(running, usage.end(), rest, { booked, outcome: running.wantsOutcome ? outcome : null });
  }
}

/** The charge for each held unit while the usage is unknown. */
function estimateOf({ heldUnits, prices }: RunningCall): Cost {
  return Object.fromEntries(heldUnits.map((unit) => [unit, prices[unit] ?? 0]));
}

/** How the function of a call ended. */
interface Ended {
  /** The units that were booked earlier, when the hold reached its limit. */
  readonly booked: Cost | null;
  /** The outcome for limits that count outcomes; `null`: nothing to report. */
  readonly outcome: Outcome | null;
}

/**
 * Settles and reports, in one request unless the hold has ended before. A store that fails now must not fail the function's
 * finished work.
 */
async function end(running: RunningCall, actual: Cost, rest: Rest, { booked, outcome }: Ended): Promise<void> {
  const isPlain = running.heldUnits.length === 0 && Object.keys(actual).length === 0;
  if (outcome !== null && booked === null && !running.replayed) {
    const events = isPlain ? (["outcome.unreported"] as const) : (["hold.unsettled", "outcome.unreported"] as const);
    await trying(running, events, () => running.settleWith(outcome, actual, rest));
    return;
  }
  const excess = booked === null ? null : excessOf(actual, booked);
  const isSettled = excess === null ? isPlain : Object.keys(excess).length === 0;
  await Promise.all([
    isSettled
      ? null
      : trying(running, ["hold.unsettled"], () =>
          excess === null ? running.settle(actual, rest) : running.book(excess),
        ),
    outcome === null ? null : trying(running, ["outcome.unreported"], () => running.reportOutcome(outcome)),
  ]);
}

/** Ends a call. When that fails, it emits the events. */
async function trying(
  { call, hold, emit }: RunningCall,
  events: readonly ("hold.unsettled" | "outcome.unreported")[],
  act: () => Promise<unknown>,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    for (const type of events) {
      emit(type === "hold.unsettled" ? { type, call, holdId: hold.id, error } : { type, call, error });
    }
  }
}

function excessOf(actual: Cost, booked: Cost): Cost {
  const excess = Object.entries(actual).map(([unit, units]) => [unit, units - (booked[unit] ?? 0)] as const);
  return Object.fromEntries(excess.filter(([, units]) => units > 0));
}
