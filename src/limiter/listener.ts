// How the program's listeners are called.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { formatGot } from "../kernel/errors.ts";
import type { Verb } from "./charge-plan.ts";
import type { LimiterEvent } from "./events.ts";

/** Like `onDecision`, with whether the units were booked even if the call was denied. */
export type DecisionListener = (decision: Decision, call: Call, isRecorded: boolean) => unknown;
export type EventListener = (event: LimiterEvent) => unknown;

/** Calls a listener. An error of the listener becomes a process warning: the units are booked, and the decision stands. */
export function notify(name: string, listener: () => unknown): void {
  const warn = (error: unknown) => {
    const message = `${name} threw: ${formatGot(error)}`;
    if (typeof process === "undefined") console.warn(message);
    else process.emitWarning(message, "TollgateWarning");
  };
  try {
    const result = listener();
    if (result instanceof Promise) result.catch(warn);
  } catch (error) {
    warn(error);
  }
}

/** Passes an event to `onEvent`, if there is a listener. */
export function emitEvent({ onEvent }: { readonly onEvent: EventListener | undefined }, event: LimiterEvent): void {
  if (onEvent !== undefined) notify("onEvent", () => onEvent(event));
}

/** Passes a decision to `onDecision`, if there is a listener. A peek decides nothing. */
export function emitDecision(
  { onDecision }: { readonly onDecision: DecisionListener | undefined },
  verb: Verb,
  call: Call,
  decision: Decision,
): void {
  if (verb === "peek" || onDecision === undefined) return;
  notify("onDecision", () => onDecision(decision, call, verb === "record"));
}
