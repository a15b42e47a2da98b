// A call from its decision to its end: units are held while the function runs, and settled however that ends.

import type { Clock } from "../clock.ts";
import type { Call, Cost } from "../kernel/call.ts";
import type { Match } from "../kernel/charge.ts";
import type { Allowed } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import {
  bareHold,
  type Hold,
  type HoldOf,
  holdOf,
  pricesOf,
  type ReserveOptions,
  type Rest,
  type Settlement,
  settle,
} from "./hold.ts";
import { keepAlive } from "./keep-alive.ts";
import { type Outcome, reportOutcome } from "./report.ts";
import { checkCallOptions, type LimiterEvent, type Shared, tellEvent } from "./shared.ts";
import { type AddUsage, UsageSum } from "./usage.ts";

export type { AddUsage, AddUsageOptions } from "./usage.ts";

/** What the function of a call gets. */
export interface RunContext {
  /** The one that `run` was given, else one that is never aborted. */
  readonly signal: AbortSignal;
  /** Says what was used. Units that are never named took what they were priced at. */
  readonly addUsage: AddUsage;
}

/** What a call runs. */
export type RunFunction<Value> = (context: RunContext) => Value | PromiseLike<Value>;

/** How a call is run. */
export interface RunOptions extends ReserveOptions {
  /**
   * Called before each extension of the hold. While it returns `false` the hold is not extended; once that has lasted for a
   * whole lease, the estimate is charged, the hold ends, and `onEvent` gets `hold-limit`. Default: always extended.
   */
  readonly isActive?: (() => boolean) | undefined;
}

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
export type Ran<Value> = Allowed & { readonly value: Value };

/** An allowed call that has begun, and how it ends. */
export interface Begun {
  readonly call: Call;
  readonly hold: Hold;
  /** How much of each unit is held, or was charged when it began. */
  readonly prices: Cost;
  /** Units of which some are held, or are booked at the end where a quota is unlimited. */
  readonly held: readonly string[];
  /** Units that some limit of the policy counts. */
  readonly units: ReadonlySet<string>;
  /** The shortest lease of what is held; `null` where nothing is. */
  readonly leaseMs: number | null;
  /** How long the hold is kept alive at most. */
  readonly maxHoldMs: number;
  /** By which the hold is extended. */
  readonly clock: Clock;
  /** Whether some limit counts outcomes. */
  readonly reports: boolean;
  settle(actual: Cost, rest: Rest): Promise<Settlement>;
  /** Books what goes beyond an earlier settlement. */
  book(excess: Cost): Promise<unknown>;
  reportOutcome(outcome: Outcome): Promise<void>;
  tell(event: LimiterEvent): void;
}

/** A call that this limiter began. */
export function begunHere(shared: Shared, of: HoldOf, matches: readonly Match[], leaseMs: number | undefined): Begun {
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
    settle: (actual, rest) => settle(shared, of, actual, rest),
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
    begun.tell({ type: "usage-unusable", call, holdId: hold.id, ...unusable }),
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
    await Promise.all([end(begun, usage.end(), rest, booked), tellOutcome(begun, outcome)]);
  }
}

/** What is charged at least while it is unknown what the call took. */
function estimateOf({ held, prices }: Begun): Cost {
  return Object.fromEntries(held.map((unit) => [unit, prices[unit] ?? 0]));
}

/**
 * Settles. A store that fails now must not take away what the function has done.
 *
 * @param booked what was booked before, when the hold reached its limit
 */
async function end(begun: Begun, actual: Cost, rest: Rest, booked: Cost | null): Promise<void> {
  try {
    if (booked !== null) {
      const excess = excessOf(actual, booked);
      if (Object.keys(excess).length > 0) await begun.book(excess);
      return;
    }
    const isPlain = begun.held.length === 0 && Object.keys(actual).length === 0;
    if (!isPlain) await begun.settle(actual, rest);
  } catch (error) {
    begun.tell({ type: "settle-error", call: begun.call, holdId: begun.hold.id, error });
  }
}

function excessOf(actual: Cost, booked: Cost): Cost {
  const excess = Object.entries(actual).map(([unit, units]) => [unit, units - (booked[unit] ?? 0)] as const);
  return Object.fromEntries(excess.filter(([, units]) => units > 0));
}

/** Says what came of the call. A store that fails now must not take away what the function has done. */
async function tellOutcome(begun: Begun, outcome: Outcome | null) {
  if (outcome === null || !begun.reports) return;
  try {
    await begun.reportOutcome(outcome);
  } catch (error) {
    begun.tell({ type: "report-error", call: begun.call, error });
  }
}
