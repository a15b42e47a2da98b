// How a limiter passes on what it decided: to its decision log, and to the program's listener. An error of the log becomes a process
// warning: the decision stands.

import { monotonicClock } from "../clock.ts";
import type { Decision } from "../kernel/decision.ts";
import type { WaitOptions } from "./call-options.ts";
import type { Verb } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import type { LoggedCall, LogHooks } from "./decision-log.ts";
import { emitDecision, type EventListener, notify } from "./listener.ts";

interface Decided extends Omit<LoggedCall, "verb" | "durationMs"> {
  readonly verb: Verb;
  /** When it began; `null`: that is not measured. */
  readonly startedMs: number | null;
}

/** When a decision begins; `null`: it is not measured, as without a log, or where the call may wait. */
export function startOf({ log }: LimiterContext, { maxWaitMs = 0 }: WaitOptions = {}): number | null {
  return log !== null && maxWaitMs === 0 ? monotonicClock.nowMs() : null;
}

/** Since then, in ms with three digits. */
function elapsedMs(startedMs: number): number {
  return Math.round((monotonicClock.nowMs() - startedMs) * 1_000) / 1_000;
}

/** Passes on a decision, and returns it: with a log, it has the id of its entry. */
export function passOn(context: LimiterContext, { verb, call, decision: made, via, startedMs }: Decided): Decision {
  const { log } = context;
  let decision = made;
  if (log !== null && verb !== "peek") {
    const durationMs = startedMs === null ? null : elapsedMs(startedMs);
    notify("log", () => {
      // A copy: the deny cache repeats a denial as the same object.
      decision = { ...decision, id: log.decided({ verb, call, decision, via, durationMs }) };
    });
  }
  emitDecision(context, verb, call, decision);
  return decision;
}

/**
 * Passes events to the log, then to the program's listener.
 *
 * @param log `null` while the limiter is being made
 */
export function withLoggedEvents(log: () => LogHooks | null, onEvent: EventListener | undefined): EventListener {
  return (event) => {
    notify("log", () => log()?.happened(event));
    return onEvent?.(event);
  };
}
