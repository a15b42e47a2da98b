// The hooks that measure a limiter. `otel()` of `tollgate/otel` and the metrics of the service implement them; the limiter knows
// neither.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { Verb } from "./charge-plan.ts";
import type { LimiterEvent } from "./events.ts";
import { type DecisionListener, type EventListener, notify } from "./listener.ts";

/** An operation that is measured. `begin` is the first half of a `run` whose function runs elsewhere. */
export type Operation = Verb | "begin";

/** Measures limiters. `otel()` of `tollgate/otel` makes one. */
export interface Telemetry {
  /**
   * Called once for each limiter that is made with it.
   *
   * @param policy the limiter's first policy; `null` for a remote limiter without one
   */
  observe(policy: Policy | null): TelemetryHooks;
}

/** Called while a limiter works. An error of a hook other than `around` becomes a process warning. */
export interface TelemetryHooks {
  /**
   * Called after each `consume`, `record`, `reserve` and `run`, as `onDecision` is.
   *
   * @param isRecorded whether the units were booked even if the call was denied
   */
  decided(decision: Decision, call: Call, isRecorded: boolean): void;
  /**
   * Called when an operation was decided. Not called for an operation that may wait: its limits decide how long that takes.
   *
   * @param error the reason of a failure; `null` when it was decided
   */
  took(operation: Operation, seconds: number, error: unknown): void;
  /** Called with each event, as `onEvent` is. */
  happened(event: LimiterEvent): void;
  /** Called when the policy was replaced. */
  reloaded(policy: Policy): void;
  /**
   * Calls `work`, which does an operation (for `run` including the function), and returns its result. A tracer opens a span
   * around it. The call has its bound dimensions. Absent: the work is done directly.
   */
  around?<Answer extends Decision>(operation: Operation, call: Call, work: () => Promise<Answer>): Promise<Answer>;
}

/** Throws `invalid-option` unless this is telemetry or absent. */
export function checkTelemetry(telemetry: Telemetry | undefined): void {
  if (telemetry !== undefined && typeof telemetry?.observe !== "function") {
    throw invalidOption("telemetry", "telemetry, such as otel()", telemetry);
  }
}

/** Passes decisions to the telemetry, then to the program's listener. `undefined`: there is neither. */
export function decisionListener(
  hooks: TelemetryHooks | null,
  onDecision: ((decision: Decision, call: Call) => unknown) | undefined,
): DecisionListener | undefined {
  // `isRecorded` is for the telemetry alone.
  if (hooks === null) return onDecision === undefined ? undefined : (decision, call) => onDecision(decision, call);
  return (decision, call, isRecorded) => {
    notify("telemetry", () => hooks.decided(decision, call, isRecorded));
    return onDecision?.(decision, call);
  };
}

/** Passes events to the telemetry, then to the program's listener. `undefined`: there is neither. */
export function eventListener(
  hooks: TelemetryHooks | null,
  onEvent: EventListener | undefined,
): EventListener | undefined {
  if (hooks === null) return onEvent;
  return (event) => {
    notify("telemetry", () => hooks.happened(event));
    return onEvent?.(event);
  };
}

/** Passes a new policy to the telemetry. */
export function notifyPolicy(hooks: TelemetryHooks | null, policy: Policy): void {
  if (hooks !== null) notify("telemetry", () => hooks.reloaded(policy));
}

/** Combines two telemetries, of which the first traces nothing. */
export function withTelemetry(first: Telemetry, second: Telemetry | undefined): Telemetry {
  if (second === undefined) return first;
  return {
    observe(policy) {
      const both = [first.observe(policy), second.observe(policy)] as const;
      const each = (act: (hooks: TelemetryHooks) => void) => {
        for (const hooks of both) notify("telemetry", () => act(hooks));
      };
      const { around } = both[1];
      return {
        decided: (...args) => each((hooks) => hooks.decided(...args)),
        took: (...args) => each((hooks) => hooks.took(...args)),
        happened: (event) => each((hooks) => hooks.happened(event)),
        reloaded: (next) => each((hooks) => hooks.reloaded(next)),
        ...(around === undefined ? {} : { around: around.bind(both[1]) }),
      };
    },
  };
}
