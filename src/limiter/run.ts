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

export function checkRunOptions(options: RunOptions): void {
  checkReserveOptions(options, ["isActive"]);
  checkFunctions({ isActive: options.isActive });
}

/** The decision on a call that was allowed, and the value that its function returned. */
export type Ran<Value, Limit extends string = string> = Allowed<Limit> & { readonly value: Value };

/** The error of a call whose result can no longer be read. */
export class ReaderGoneError extends Error {
  override readonly name = "ReaderGoneError";

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
  const { call, hold, heldUnits, prices } = running;
  const held = Object.fromEntries(heldUnits.map((unit) => [unit, prices[unit] ?? 0]));
  const sum = new UsageSum(running.units, held, (unusable) =>
    running.emit({ type: "usage.unusable", call, holdId: hold.id, ...unusable }),
  );
  const alive = keepAlive(running, options, () => sum.soFar());
  // A call that never started costs nothing.
  let unnamed: Unnamed = "nothing";
  let outcome: Outcome | null = null;
  try {
    signal.throwIfAborted();
    unnamed = "onError";
    const value = await run({ signal, addUsage: sum.add });
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
    await end(running, sum.end(), unnamed, { booked, outcome: running.wantsOutcome ? outcome : null });
  }
}

/** How the function of a call ended. */
interface Ended {
  /** The units that were booked earlier, when the hold reached its limit. */
  readonly booked: Cost | null;
  /** The outcome for limits that count outcomes; `null`: nothing to report. */
  readonly outcome: Outcome | null;
}

/** Settles and reports, in one request unless the hold has ended before. A failure must not fail the function's finished work. */
async function end(running: RunningCall, usage: Cost, unnamed: Unnamed, { booked, outcome }: Ended): Promise<void> {
  const left = booked === null ? usage : excessOf(usage, booked);
  const isHeld = booked === null && running.heldUnits.length > 0;
  const isNothing = !isHeld && Object.keys(left).length === 0;
  // A replayed call may have settled its hold before, with other numbers: then its outcome still counts.
  if (outcome !== null && booked === null && !running.replayed) {
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
