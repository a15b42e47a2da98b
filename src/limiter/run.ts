// A call from its decision to its end: units are held while the function runs, and settled however that ends.

import type { Cost } from "../kernel/call.ts";
import { checkCost, type Match } from "../kernel/charge.ts";
import type { Decision } from "../kernel/decision.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { HoldOptions } from "./hold.ts";
import { type HoldOf, holdOf, settle } from "./hold.ts";
import { type Outcome, report } from "./report.ts";
import { type Shared, tellEvent } from "./shared.ts";

/** Says what a call has taken so far, by unit; reports add up. */
export type Report = (usage: Cost) => void;

/**
 * What a call runs.
 *
 * @param signal the one that `run` was given, else one that is never aborted
 * @param report says what was used. Units that are never reported took what they were priced at
 */
export type RunFunction<Value> = (signal: AbortSignal, report: Report) => Value | PromiseLike<Value>;

/** What came of a call. */
export type Ran<Value> =
  | { readonly allowed: true; readonly value: Value; readonly decision: Decision }
  | { readonly allowed: false; readonly decision: Decision };

/** Runs an allowed call to its end. */
export async function runHeld<Value>(
  shared: Shared,
  of: HoldOf,
  matches: readonly Match[],
  run: RunFunction<Value>,
  options: HoldOptions,
): Promise<Value> {
  const { signal = new AbortController().signal, leaseMs } = options;
  const usage = createUsage(of);
  const stop = keepAlive(shared, of, leaseMs);
  let rest: "held" | "nothing" = "nothing";
  let outcome: Outcome | null = null;
  try {
    signal.throwIfAborted();
    rest = of.policy.onError === "refund" ? "nothing" : "held";
    const value = await run(signal, usage.report);
    rest = "held";
    outcome = { result: value };
    return value;
  } catch (error) {
    // What never began did not fail.
    if (!signal.aborted) outcome = { error };
    throw error;
  } finally {
    stop();
    await Promise.all([end(shared, of, usage.end(), rest), tellOutcome(shared, of, matches, outcome)]);
  }
}

/** Settles. A store that fails now must not take away what the function has done. */
async function end(shared: Shared, of: HoldOf, actual: Cost, rest: "held" | "nothing"): Promise<void> {
  const isPlain = of.parts.every(({ held }) => held === 0) && Object.keys(actual).length === 0;
  if (isPlain) return;
  try {
    await settle(shared, of, actual, rest);
  } catch (error) {
    tellEvent(shared, { type: "settle-error", call: of.call, hold: of.id, error });
  }
}

/** Says what came of the call. A store that fails now must not take away what the function has done. */
async function tellOutcome(shared: Shared, of: HoldOf, matches: readonly Match[], outcome: Outcome | null) {
  if (outcome === null) return;
  try {
    await report(shared, matches, outcome);
  } catch (error) {
    tellEvent(shared, { type: "report-error", call: of.call, error });
  }
}

/** Adds up what is reported. */
function createUsage({ policy }: HoldOf) {
  const sums: Record<string, number> = {};
  let isOver = false;
  return {
    report(usage: Cost): void {
      if (isOver) {
        throw new MisuseError("run-ended", {
          path: "report",
          expected: "a report before the function's promise settles",
          got: "one after it",
        });
      }
      checkCost(policy, usage);
      for (const [unit, units] of Object.entries(usage)) {
        sums[unit] = Math.min((sums[unit] ?? 0) + units, Number.MAX_SAFE_INTEGER);
      }
    },
    end(): Cost {
      isOver = true;
      return sums;
    },
  };
}

/** Extends a hold at a third of its lease, again and again, until it is told to stop. */
function keepAlive(shared: Shared, of: HoldOf, leaseMs: number | undefined): () => void {
  const leases = of.parts.filter(({ held }) => held > 0).map(({ limit }) => leaseMs ?? limit.leaseMs);
  if (leases.length === 0) return () => {};
  const hold = holdOf(shared, of);
  let timer: ReturnType<typeof setTimeout>;
  let isStopped = false;
  const wait = () => {
    timer = setTimeout(extend, Math.ceil(Math.min(...leases) / 3));
  };
  const extend = async () => {
    let error: unknown = null;
    let isAlive = true;
    try {
      isAlive = await hold.extend({ leaseMs });
    } catch (thrown) {
      error = thrown;
    }
    if (isStopped) return;
    if (!isAlive || error !== null) tellEvent(shared, { type: "extend-error", call: of.call, hold: of.id, error });
    if (isAlive) wait();
  };
  wait();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
