// What a limiter tells a decision log. tollgate/log implements it; the limiter knows nothing of how entries are kept.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Verb } from "./charge-plan.ts";
import type { LimiterEvent } from "./events.ts";
import type { LogEvent } from "./log-event.ts";

/** Records what a limiter decides. `sqliteLog()` of `tollgate/log/sqlite` makes one. */
export interface DecisionLog {
  /**
   * Called once for each limiter that is made with it.
   *
   * @param emit tells the limiter's listeners when the log cannot be written, and when it can again
   */
  observe(policy: CompiledPolicy, emit?: (event: LogEvent) => void): LogHooks;
  /** What became of entries since the process began, for metrics. Absent: that is not known. */
  counts?(): LogCounts;
}

/** What became of entries. */
export interface LogCounts {
  readonly kept: number;
  /** Left out of the sample. */
  readonly sampled: number;
  /** Lost, because too many waited or the log could not be written. */
  readonly dropped: number;
}

/** A call that was decided. */
export interface LoggedCall {
  readonly verb: Exclude<Verb, "peek">;
  /** The whole call, with the dimensions that are bound. */
  readonly call: Call;
  readonly decision: Decision;
  /** What asked: `library`, `http`, `envoy`, or the name of an adapter. */
  readonly via: string;
  /** How long the limiter took to decide, ms; `null`: the call could wait. */
  readonly durationMs: number | null;
}

/** Called while a limiter works. They only take note: nothing is written before the caller has its decision. */
export interface LogHooks {
  /**
   * Takes note of a decision. Not called for a peek.
   *
   * @returns the id of the entry that it has, or would have if it were kept
   */
  decided(decided: LoggedCall): string;
  /**
   * Takes note of an event.
   *
   * @param tenant whose bucket changed, where a service knows it and the bucket's dimensions do not say it
   */
  happened(event: LimiterEvent, tenant?: string): void;
  reloaded(policy: CompiledPolicy): void;
  /** Called when the limiter is closed: writes what waits, for `withinMs` at most. A log ends with the last of its limiters. */
  close(withinMs: number): Promise<void>;
}

/** Throws `invalid-option` unless this is a log or absent. */
export function checkLog(log: DecisionLog | undefined): void {
  if (log !== undefined && typeof log?.observe !== "function") {
    throw invalidOption("log", 'a decision log, such as sqliteLog("decisions.db")', log);
  }
}
