// Runs the function of an allowed call: units are held while it runs, and settled however it ends.

import type { Cost } from "../kernel/call.ts";
import type { Allowed } from "../kernel/decision.ts";
import { checkFunctions } from "./call-options.ts";
import type { Unnamed } from "./held-call.ts";
import { checkReserveOptions, type RunOptions } from "./hold.ts";
import { keepAlive } from "./keep-alive.ts";
import type { Outcome } from "./report.ts";
import type { RunningCall } from "./running-call.ts";
import { type AddUsage, UsageSum } from "./usage-sum.ts";

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

/** The decision on a call that was allowed, and the value that its function returned. */
export type Ran<Value, Limit extends string = string> = Allowed<Limit> & { readonly value: Value };

/** What an adapter throws into its call when the stream of the answer was dropped unread (adapters/guard). */
export class ReaderGoneError extends Error {
  override readonly name = "ReaderGoneError";

  constructor() {
    super("the reader of the answer is gone");
  }
}

export function checkRunOptions(options: RunOptions): void {
  checkReserveOptions(options, ["isActive"]);
  checkFunctions({ isActive: options.isActive });
}

export async function runToEnd<Value>(
  running: RunningCall,
  work: RunFunction<Value>,
  options: RunOptions,
): Promise<Value> {
  const { signal = new AbortController().signal } = options;
  const { call, hold, heldUnits, prices } = running;
  // Without the units that were charged at the start: nothing of them is left to settle.
  const held = Object.fromEntries(heldUnits.map((unit) => [unit, prices[unit] ?? 0]));
  const sum = new UsageSum(running.units, held, (unusable) =>
    running.emit({ type: "usage.unusable", call, holdId: hold.id, ...unusable }),
  );
  const alive = keepAlive(running, options, () => sum.soFar());
  // A call that never started frees what it holds. What was charged at the start stays charged.
  let unnamed: Unnamed = "nothing";
  let outcome: Outcome | null = null;
  try {
    signal.throwIfAborted();
    unnamed = "onError";
    const value = await work({ signal, addUsage: sum.add });
    unnamed = "held";
    outcome = { result: value };
    return value;
  } catch (error) {
    // A call that its caller aborted did not fail by itself.
    if (!signal.aborted) outcome = { error };
    if (error instanceof ReaderGoneError) alive.emitLimit("reader-gone");
    throw error;
  } finally {
    const booked = await alive.stop();
    await endRunning(running, sum.end(), unnamed, booked, running.wantsOutcome ? outcome : null);
  }
}

/**
 * Settles and reports, in one request unless the hold has ended before. Never rejects: a failure must not fail the function's
 * finished work.
 *
 * @param booked what was booked when the hold reached a limit
 * @param outcome `null`: nothing is reported
 */
export async function endRunning(
  running: RunningCall,
  usage: Cost,
  unnamed: Unnamed,
  booked: Cost | null,
  outcome: Outcome | null,
): Promise<void> {
  const left = booked === null ? usage : excessOf(usage, booked);
  const isHeld = booked === null && running.heldUnits.length > 0;
  const isNothing = !isHeld && Object.keys(left).length === 0;
  // A replayed call may have settled before, with other numbers: that would refuse the settle, and its outcome must still count.
  if (outcome !== null && booked === null && !running.replayed) {
    // `settleWith` only reports when there is nothing to settle.
    const events = isNothing ? (["outcome.unreported"] as const) : (["hold.unsettled", "outcome.unreported"] as const);
    return emittingFailure(running, events, () => running.settleWith(outcome, usage, unnamed));
  }
  const settling = () => (booked === null ? running.settle(left, unnamed) : running.book(left));
  await Promise.all([
    isNothing ? null : emittingFailure(running, ["hold.unsettled"], settling),
    outcome && emittingFailure(running, ["outcome.unreported"], () => running.reportOutcome(outcome)),
  ]);
}

async function emittingFailure(
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

/** Usage beyond what was booked. */
function excessOf(usage: Cost, booked: Cost): Cost {
  const excess = Object.entries(usage).map(([unit, units]) => [unit, units - (booked[unit] ?? 0)] as const);
  return Object.fromEntries(excess.filter(([, units]) => units > 0));
}
