// How the program's listeners are called.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { formatGot } from "../kernel/errors.ts";
import type { Verb } from "./charge-plan.ts";
import type { LimiterEvent } from "./events.ts";

/** Like `onDecision`, with whether the units were booked even if the call was denied. */
export type DecisionListener = (decision: Decision, call: Call, isRecorded: boolean) => unknown;
export type EventListener = (event: LimiterEvent) => unknown;

/** Warns the program of what went wrong beside a decision. */
export function warn(message: string): void {
  if (globalThis.process?.emitWarning === undefined) console.warn(message);
  else process.emitWarning(message, "TollgateWarning");
}

/** Calls a listener. An error of the listener becomes a process warning: the units are booked, and the decision stands. */
export function notify(name: string, listener: () => unknown): void {
  const failed = (error: unknown) => warn(`${name} threw: ${formatGot(error)}`);
  try {
    const result = listener();
    if (result instanceof Promise) result.catch(failed);
  } catch (error) {
    failed(error);
  }
}

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
