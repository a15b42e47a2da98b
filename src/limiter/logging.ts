// How a limiter tells its decision log. An error of the log becomes a process warning: the decision stands.

import { monotonicClock } from "../clock.ts";
import type { Decision } from "../kernel/decision.ts";
import type { LogHooks, LoggedCall } from "./decision-log.ts";
import { type EventListener, notify } from "./listener.ts";

/** Has a decision logged, and returns it with the id of its entry. */
export function logged(log: LogHooks, decided: LoggedCall): Decision {
  let { decision } = decided;
  notify("log", () => {
    // A copy: the deny cache repeats a denial as the same object.
    decision = { ...decision, id: log.decided(decided) };
  });
  return decision;
}

/** Passes events to the log, then to the program's listener. `undefined`: there is neither. */
export function withLoggedEvents(log: LogHooks | null, onEvent: EventListener | undefined): EventListener | undefined {
  if (log === null) return onEvent;
  return (event) => {
    notify("log", () => log.happened(event));
    return onEvent?.(event);
  };
}

/** How long a decision took that began then; `null`: that was not measured. */
export function durationSince(startedMs: number | null): number | null {
  return startedMs === null ? null : Math.round(monotonicClock.nowMs() - startedMs);
}
