// A call from its decision to its end: units are held while the function runs, and settled however that ends.

import type { Call, Cost } from "../kernel/call.ts";
import { checkCost, type Match } from "../kernel/charge.ts";
import type { Decision } from "../kernel/decision.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy.ts";
import { type Hold, type HoldOf, type HoldOptions, holdOf, settle } from "./hold.ts";
import { type Outcome, report } from "./report.ts";
import { type LimiterEvent, type Shared, tellEvent } from "./shared.ts";

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

/** An allowed call that has begun, and how it ends. */
export interface Begun {
  readonly call: Call;
  readonly hold: Hold;
  /** Units of which some are held. */
  readonly held: readonly string[];
  /** The shortest lease of what is held; `null` where nothing is. */
  readonly leaseMs: number | null;
  readonly onError: Policy["onError"];
  /** Whether some limit counts outcomes. */
  readonly reports: boolean;
  /** @throws MisuseError `invalid-cost`, `unknown-unit` */
  checkUsage(usage: Cost): void;
  settle(actual: Cost, rest: "held" | "nothing"): Promise<unknown>;
  report(outcome: Outcome): Promise<void>;
  tell(event: LimiterEvent): void;
}

/** A call that this limiter began. */
export function begunHere(shared: Shared, of: HoldOf, matches: readonly Match[], leaseMs: number | undefined): Begun {
  const held = of.parts.filter((part) => part.held > 0).map(({ limit }) => limit);
  return {
    call: of.call,
    hold: holdOf(shared, of),
    held: [...new Set(held.map(({ unit }) => unit))],
    leaseMs: held.length === 0 ? null : Math.min(...held.map((limit) => leaseMs ?? limit.leaseMs)),
    onError: of.policy.onError,
    reports: matches.some(({ limit }) => limit.reports !== null),
    checkUsage: (usage) => checkCost(of.policy, usage),
    settle: (actual, rest) => settle(shared, of, actual, rest),
    report: (outcome) => report(shared, of.call, matches, outcome),
    tell: (event) => tellEvent(shared, event),
  };
}

/** Runs an allowed call to its end. */
export async function runBegun<Value>(begun: Begun, run: RunFunction<Value>, options: HoldOptions): Promise<Value> {
  const { signal = new AbortController().signal, leaseMs } = options;
  const usage = createUsage(begun);
  const stop = keepAlive(begun, leaseMs);
  let rest: "held" | "nothing" = "nothing";
  let outcome: Outcome | null = null;
  try {
    signal.throwIfAborted();
    rest = begun.onError === "refund" ? "nothing" : "held";
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
    await Promise.all([end(begun, usage.end(), rest), tellOutcome(begun, outcome)]);
  }
}

/** Settles. A store that fails now must not take away what the function has done. */
async function end(begun: Begun, actual: Cost, rest: "held" | "nothing"): Promise<void> {
  const isPlain = begun.leaseMs === null && Object.keys(actual).length === 0;
  if (isPlain) return;
  try {
    await begun.settle(actual, rest);
  } catch (error) {
    begun.tell({ type: "settle-error", call: begun.call, hold: begun.hold.hold, error });
  }
}

/** Says what came of the call. A store that fails now must not take away what the function has done. */
async function tellOutcome(begun: Begun, outcome: Outcome | null) {
  if (outcome === null || !begun.reports) return;
  try {
    await begun.report(outcome);
  } catch (error) {
    begun.tell({ type: "report-error", call: begun.call, error });
  }
}

/** Adds up what is reported. */
function createUsage(begun: Begun) {
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
      begun.checkUsage(usage);
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
function keepAlive(begun: Begun, leaseMs: number | undefined): () => void {
  const { call, hold } = begun;
  if (begun.leaseMs === null) return () => {};
  const eachMs = Math.ceil(begun.leaseMs / 3);
  let timer: ReturnType<typeof setTimeout>;
  let isStopped = false;
  const wait = () => {
    timer = setTimeout(extend, eachMs);
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
    if (!isAlive || error !== null) begun.tell({ type: "extend-error", call, hold: hold.hold, error });
    if (isAlive) wait();
  };
  wait();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
