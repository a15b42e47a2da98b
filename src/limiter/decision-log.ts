// What a limiter tells a decision log. tollgate/log implements it; the limiter knows nothing of how entries are kept.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Verb } from "./charge-plan.ts";
import type { LimiterEvent } from "./events.ts";

/** Records what a limiter decides. `sqliteLog()` of `tollgate/log/sqlite` makes one. */
export interface DecisionLog {
  /** Called once for each limiter that is made with it. */
  observe(policy: CompiledPolicy): LogHooks;
  /** Writes what waits, for `withinMs` at most, and ends. A limiter that is closed closes its log. */
  close(withinMs?: number): Promise<void>;
}

/** Called while a limiter works. They only take note: nothing is written before the caller has its decision. */
export interface LogHooks {
  /**
   * A decision that was made. Not called for a peek.
   *
   * @param call the whole call
   * @returns the id of the entry that it has, or would have where it is not kept
   */
  decided(verb: Verb, call: Call, decision: Decision): string;
  happened(event: LimiterEvent): void;
  reloaded(policy: CompiledPolicy): void;
}

/** Throws `invalid-option` unless this is a log or absent. */
export function checkLog(log: DecisionLog | undefined): void {
  if (log !== undefined && typeof log?.observe !== "function") {
    throw invalidOption("log", 'a decision log, such as sqliteLog("decisions.db")', log);
  }
}
