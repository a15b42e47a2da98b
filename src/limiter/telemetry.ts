// The hooks by which a limiter is measured. `otel()` of `tollgate/otel` and the metrics of the service have them; the limiter
// knows neither.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { LimiterEvent } from "./events.ts";
import { tell } from "./listener.ts";

/** What is measured. `begin` is the first half of a `run` whose function runs elsewhere. */
export type Operation = "consume" | "record" | "peek" | "reserve" | "run" | "begin";

/** Measures limiters. `otel()` of `tollgate/otel` makes one. */
export interface Telemetry {
  /**
   * Called once for each limiter that is made with it.
   *
   * @param policy the one that it begins with; `null` for a remote limiter that was given none
   */
  observe(policy: Policy | null): TelemetryHooks;
}

/** What is called while a limiter works. What these throw becomes a process warning, but for `around`. */
export interface TelemetryHooks {
  /**
   * Called after each `consume`, `record`, `reserve` and `run`, as `onDecision` is.
   *
   * @param isRecorded whether the units were booked whatever the decision is
   */
  decided(decision: Decision, call: Call, isRecorded: boolean): void;
  /**
   * Called when an operation was decided, unless it may wait: a wait is as long as its limits say.
   *
   * @param error why it failed; `null` when it was decided
   */
  took(operation: Operation, seconds: number, error: unknown): void;
  /** Called with each event, as `onEvent` is. */
  happened(event: LimiterEvent): void;
  /** Called when the limiter judges by another policy from now on. */
  reloaded(policy: Policy): void;
  /**
   * Does the work of an operation, of `run` with the function that runs, and returns what it returns. A tracer has its span
   * around it. The call has the dimensions that were bound. Absent: the work is done as it is.
   */
  around?<Answer extends Decision>(operation: Operation, call: Call, work: () => Promise<Answer>): Promise<Answer>;
}

/** As `onDecision`, with whether the units were booked whatever the decision is. */
export type DecisionListener = (decision: Decision, call: Call, isRecorded: boolean) => unknown;
type EventListener = (event: LimiterEvent) => unknown;

/**
 * Refuses what is no telemetry.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkTelemetry(telemetry: Telemetry | undefined): void {
  if (telemetry !== undefined && typeof telemetry?.observe !== "function") {
    throw invalidOption("telemetry", "telemetry, such as otel()", telemetry);
  }
}

/** Tells decisions to the telemetry, and then to the user's listener. `undefined`: neither is there. */
export function decisionListener(
  hooks: TelemetryHooks | null,
  onDecision: ((decision: Decision, call: Call) => unknown) | undefined,
): DecisionListener | undefined {
  if (hooks === null) return onDecision === undefined ? undefined : (decision, call) => onDecision(decision, call);
  return (decision, call, isRecorded) => {
    tell("telemetry", () => hooks.decided(decision, call, isRecorded));
    return onDecision?.(decision, call);
  };
}

/** Tells events to the telemetry, and then to the user's listener. `undefined`: neither is there. */
export function eventListener(
  hooks: TelemetryHooks | null,
  onEvent: EventListener | undefined,
): EventListener | undefined {
  if (hooks === null) return onEvent;
  return (event) => {
    tell("telemetry", () => hooks.happened(event));
    return onEvent?.(event);
  };
}

/** Tells the telemetry that the policy is another one. */
export function tellPolicy(hooks: TelemetryHooks | null, policy: Policy): void {
  if (hooks !== null) tell("telemetry", () => hooks.reloaded(policy));
}

/** Both of two, of which the first traces nothing. */
export function withTelemetry(first: Telemetry, second: Telemetry | undefined): Telemetry {
  if (second === undefined) return first;
  return {
    observe(policy) {
      const both = [first.observe(policy), second.observe(policy)] as const;
      const each = (act: (hooks: TelemetryHooks) => void) => {
        for (const hooks of both) tell("telemetry", () => act(hooks));
      };
      const { around } = both[1];
      return {
        decided: (...told) => each((hooks) => hooks.decided(...told)),
        took: (...told) => each((hooks) => hooks.took(...told)),
        happened: (event) => each((hooks) => hooks.happened(event)),
        reloaded: (next) => each((hooks) => hooks.reloaded(next)),
        ...(around === undefined ? {} : { around: around.bind(both[1]) }),
      };
    },
  };
}
