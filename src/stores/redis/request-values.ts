// Any request as the script takes it: its mode, and for each step its key, its limit and its event. wire.ts says what the numbers mean.

import type { LimitSpec } from "../../kernel/algorithms/registry.ts";
import type { StepEvent, StoreRequest } from "../../kernel/request.ts";
import type { Numbering } from "./numbering.ts";
import { ABSENT, EVENTS, MODE_FLAGS, MODES, STEP_FLAGS } from "./wire.ts";

type Hold = Extract<StepEvent, { type: "hold" }>;

export function pushRequest(
  values: (number | string)[],
  { mode, steps, once, wait, atMs }: StoreRequest,
  keys: Numbering<string>,
  limits: Numbering<LimitSpec>,
): void {
  const isOnce = once !== undefined && mode !== "peek";
  const onceFlag = isOnce ? MODE_FLAGS.withOnce : 0;
  const waitFlag = wait === undefined ? 0 : MODE_FLAGS.withWait;
  const timeFlag = atMs === undefined ? 0 : MODE_FLAGS.withTime;
  values.push(MODES[mode] + onceFlag + waitFlag + timeFlag);
  if (atMs !== undefined) values.push(atMs);
  if (wait !== undefined) values.push(wait.id, wait.maxMs);
  if (isOnce) values.push(keys.numberOf(once.key), once.request);
  values.push(steps.length);
  let last: Hold | undefined;
  for (const { bucket, limit, event, shadow, atMs: ownAtMs } of steps) {
    const number = limits.numberOf(limit);
    values.push(keys.numberOf(bucket), shadow === true ? -number : number);
    if (atMs !== undefined && ownAtMs !== undefined) values.push(STEP_FLAGS.ownTime, ownAtMs);
    pushEvent(values, event, last);
    if (event.type === "hold") last = event;
  }
}

/** Most requests make the same hold in all their buckets: `last` is the request's last hold. */
function pushEvent(values: (number | string)[], event: StepEvent, last: Hold | undefined): void {
  switch (event.type) {
    case "charge":
      if (event.seen === undefined) values.push(event.cost);
      else values.push(EVENTS.chargeValue, event.seen, event.cost);
      break;
    case "report":
      values.push(EVENTS.report, event.outcome ?? ABSENT.noOutcome);
      break;
    case "grant":
      values.push(EVENTS.grant, event.id, event.units, event.leaseMs);
      break;
    case "raise":
      values.push(EVENTS.raise, event.id, event.units, event.atMs, event.keptMs, event.lost === "some" ? 1 : 0);
      break;
    case "read":
    case "reset":
      values.push(EVENTS[event.type]);
      break;
    case "hold":
      if (last !== undefined && isSame(last, event)) values.push(EVENTS.sameHold);
      else values.push(EVENTS.hold, event.id, event.units, event.leaseMs, event.onExpiry === "charge" ? 1 : 0);
      break;
    case "settle":
      values.push(EVENTS.settle, event.id, event.units);
      break;
    case "extend":
      values.push(EVENTS.extend, event.id, event.leaseMs);
      break;
    case "revoke":
      values.push(EVENTS.revoke, event.id);
      break;
  }
}

function isSame(one: Hold, other: Hold): boolean {
  const { id, units, leaseMs, onExpiry } = one;
  return id === other.id && units === other.units && leaseMs === other.leaseMs && onExpiry === other.onExpiry;
}
