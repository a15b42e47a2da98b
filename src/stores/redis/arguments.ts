// A batch as the script takes it, and the script's answer as replies. Plain numbers both ways, but for names: apply.lua
// says which.

import type { LimitSpec } from "../../kernel/algorithms/registry.ts";
import { replayOf } from "../../kernel/once.ts";
import {
  decodeState,
  type Step,
  type StepEvent,
  type StepReply,
  StoreError,
  type StoreReply,
  type StoreRequest,
  tooManyHolds,
} from "../../store.ts";

/** KEYS and ARGV of a script call. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly values: readonly (number | string)[];
}

const MODES = { judge: 0, peek: 1, force: 2, undo: 3 } as const;
const [WITH_ONCE, WITH_WAIT] = [10, 20];
const [READ, RESET, HOLD, SAME_HOLD, COUNT, REPORT, GRANT, SETTLE, EXTEND] = [-1, -2, -3, -4, -5, -6, -7, -8, -9];
const NO_OUTCOME = 0;
const [ANSWERED, STALE, PLACED] = [2, 3, 4];
const [DAMAGED, WRONG_TYPE] = [-1, -2];
const FOUND = ["live", "late", "unknown"] as const;

type Hold = Extract<StepEvent, { type: "hold" }>;

/** Each key and each limit stands once, and steps name them by number. */
export function scriptCall(requests: readonly StoreRequest[]): ScriptCall {
  const keys = new Map<string, number>();
  const limits = new Map<LimitSpec, number>();
  const values: (number | string)[] = [];
  for (const { mode, steps, once, wait } of requests) {
    const isOnce = once !== undefined && mode !== "peek";
    values.push(MODES[mode] + (isOnce ? WITH_ONCE : 0) + (wait === undefined ? 0 : WITH_WAIT));
    if (isOnce) values.push(numberOf(keys, once.key), once.request);
    if (wait !== undefined) values.push(wait.id, wait.maxMs);
    values.push(steps.length);
    let made: Hold | undefined;
    for (const { bucket, limit, event, shadow } of steps) {
      const number = numberOf(limits, limit);
      values.push(numberOf(keys, bucket), shadow === true ? -number : number);
      pushEvent(values, event, made);
      if (event.type === "hold") made = event;
    }
  }
  return { keys: [...keys.keys()], values: [limits.size, ...[...limits.keys()].flatMap(limitNumbers), ...values] };
}

function numberOf<Item>(numbers: Map<Item, number>, item: Item): number {
  const known = numbers.get(item);
  if (known !== undefined) return known;
  numbers.set(item, numbers.size + 1);
  return numbers.size;
}

/** A request mostly makes one and the same hold in all its buckets: `made` is its last. */
function pushEvent(values: (number | string)[], event: StepEvent, made: Hold | undefined): void {
  switch (event.type) {
    case "charge":
      if (event.seen === undefined) values.push(event.cost);
      else values.push(COUNT, event.seen, event.cost);
      break;
    case "report":
      values.push(REPORT, event.outcome ?? NO_OUTCOME);
      break;
    case "grant":
      values.push(GRANT, event.id, event.units, event.leaseMs);
      break;
    case "read":
      values.push(READ);
      break;
    case "reset":
      values.push(RESET);
      break;
    case "hold":
      if (made !== undefined && isSame(made, event)) values.push(SAME_HOLD);
      else values.push(HOLD, event.id, event.units, event.leaseMs, event.onExpiry === "charge" ? 1 : 0);
      break;
    case "settle":
      values.push(SETTLE, event.id, event.units);
      break;
    case "extend":
      values.push(EXTEND, event.id, event.leaseMs);
      break;
  }
}

function isSame(one: Hold, other: Hold): boolean {
  const { id, units, leaseMs, onExpiry } = one;
  return id === other.id && units === other.units && leaseMs === other.leaseMs && onExpiry === other.onExpiry;
}

function limitNumbers(limit: LimitSpec): number[] {
  switch (limit.algorithm) {
    case "quota":
      return [1, limit.quota, limit.ttlMs, limit.ttlFrom === "first" ? 1 : 0];
    case "fixed-window":
      if (limit.align === "calendar") return [6, limit.quota, ...limit.boundaries];
      return [2, limit.quota, limit.windowMs, limit.align === "first-use" ? 1 : 0];
    case "sliding-window":
      return [3, limit.quota, limit.windowMs, 0];
    case "gcra":
      return [4, limit.burst, limit.levelPerUnit, limit.levelPerMs];
    case "concurrency":
      return [5, limit.quota, 0, 0];
    case "elapsed":
      return [7, limit.quota, limit.ttlMs, 0];
    case "streak":
      return [8, limit.quota, limit.ttlMs, 0];
  }
}

/** The script's answer, one reply or error for each request. */
export function scriptReplies(
  requests: readonly StoreRequest[],
  keys: readonly string[],
  answer: readonly (number | string)[],
): (StoreReply | StoreError)[] {
  let position = 0;
  const next = () => Number(answer[position++]);
  const nowMs = next();
  const stepReply = ({ event }: Step): StepReply => {
    const first = next();
    const granted = first < 0 ? { granted: -first } : {};
    const [used, resetAfterMs, retryMs] = [first < 0 ? next() : first, next(), next()];
    const retryAfterMs = retryMs < 0 ? null : retryMs;
    const reply = { allowed: retryMs === 0, used, ...granted, resetAfterMs, retryAfterMs };
    if (event.type !== "settle" && event.type !== "extend") return reply;
    return { ...reply, hold: FOUND[next()] ?? "unknown" };
  };
  const replies = requests.map(({ steps, once }): StoreReply | StoreError => {
    const status = next();
    if (status === ANSWERED) return answeredBefore(String(answer[position++]), once?.key ?? "");
    if (status === STALE) return { allowed: false, stale: true, nowMs, steps: [] };
    if (status === DAMAGED) return damaged(keys[next() - 1] ?? "");
    if (status === WRONG_TYPE) return wrongType(keys[next() - 1] ?? "");
    if (status < 0) return tooManyHolds();
    if (status === PLACED) return { allowed: true, nowMs, waitMs: next(), steps: steps.map(stepReply) };
    return { allowed: status === 1, nowMs, steps: steps.map(stepReply) };
  });
  if (position !== answer.length) throw new RangeError("the script's answer has another length than it must have");
  return replies;
}

function answeredBefore(text: string, key: string): StoreReply | StoreError {
  const state = decodeState(text, 0);
  return state?.kind === "once" ? replayOf(state) : damaged(key);
}

function damaged(key: string): StoreError {
  return new StoreError("damaged-bucket", `the key ${key} holds what no version writes`, { transient: false });
}

function wrongType(key: string): StoreError {
  return new StoreError("wrong-type", `the key ${key} holds another type than a string`, { transient: false });
}
