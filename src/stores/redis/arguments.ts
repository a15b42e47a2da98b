// A batch as the script takes it, and the script's answer as replies. Plain numbers both ways, but for names: apply.lua
// says which.

import type { LimitSpec } from "../../kernel/algorithms/registry.ts";
import { replayOf } from "../../kernel/once.ts";
import { MAX_RECEIPTS } from "../../kernel/receipts.ts";
import {
  decodeState,
  MARK_KEY,
  receiptsKey,
  type Step,
  type StepEvent,
  type StepReply,
  StoreError,
  type StoreReply,
  type StoreRequest,
  type Terms,
  tooManyHolds,
} from "../../store.ts";

/** What one script is given: a batch, or a part of one. */
export interface Part {
  readonly requests: readonly StoreRequest[];
  readonly terms: Terms | undefined;
  /** Which part of its batch it is, from 0. */
  readonly part: number;
}

/** KEYS and ARGV of a script call. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly values: readonly (number | string)[];
}

const MODES = { judge: 0, peek: 1, force: 2, undo: 3 } as const;
const [WITH_ONCE, WITH_WAIT, WITH_TIME] = [10, 20, 40];
const [READ, RESET, HOLD, SAME_HOLD, COUNT, REPORT, GRANT, RAISE, SETTLE, EXTEND] = [
  -1, -2, -3, -4, -5, -6, -7, -8, -9, -10,
];
const NO_OUTCOME = 0;
const [NO_TERMS, TERMS, NO_KEY] = [0, 1, 0];
const [ANSWERED, STALE, PLACED, SHOWN, FIRM] = [2, 3, 4, 5, 6];
const [DAMAGED, WRONG_TYPE] = [-1, -2];
const [TOO_LATE, OTHER_INCARNATION, SETTLED, OVERLOADED] = [-4, -5, -6, -7];
const FOUND = ["live", "late", "unknown"] as const;

type Hold = Extract<StepEvent, { type: "hold" }>;

/** Each key and each limit stands once, and steps name them by number. */
export function scriptCall({ requests, terms, part }: Part): ScriptCall {
  const keys = new Map<string, number>();
  const limits = new Map<LimitSpec, number>();
  const head = termValues(keys, terms, part);
  const values: (number | string)[] = [];
  for (const { mode, steps, once, wait, atMs } of requests) {
    const isOnce = once !== undefined && mode !== "peek";
    const waits = wait === undefined ? 0 : WITH_WAIT;
    values.push(MODES[mode] + (isOnce ? WITH_ONCE : 0) + waits + (atMs === undefined ? 0 : WITH_TIME));
    if (isOnce) values.push(numberOf(keys, once.key), once.request);
    if (wait !== undefined) values.push(wait.id, wait.maxMs);
    if (atMs !== undefined) values.push(atMs);
    values.push(steps.length);
    let made: Hold | undefined;
    for (const { bucket, limit, event, shadow } of steps) {
      const number = numberOf(limits, limit);
      values.push(numberOf(keys, bucket), shadow === true ? -number : number);
      pushEvent(values, event, made);
      if (event.type === "hold") made = event;
    }
  }
  const limitValues = [...limits.keys()].flatMap(limitNumbers);
  return { keys: [...keys.keys()], values: [...head, limits.size, ...limitValues, ...values] };
}

function termValues(keys: Map<string, number>, terms: Terms = {}, part: number): (number | string)[] {
  const { notAfterMs = Number.MAX_SAFE_INTEGER, incarnation, receipt } = terms;
  if (Object.keys(terms).length === 0) return [NO_TERMS];
  const values: (number | string)[] = [TERMS, notAfterMs];
  if (incarnation === undefined) values.push(NO_KEY);
  else values.push(numberOf(keys, MARK_KEY), incarnation);
  if (receipt === undefined) return [...values, NO_KEY];
  const { instance, number, from, closes = false } = receipt;
  return [...values, numberOf(keys, receiptsKey(instance)), number, part, from, closes ? 1 : 0];
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
    case "raise":
      values.push(RAISE, event.id, event.units, event.atMs, event.keptMs, event.lost === "some" ? 1 : 0);
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

/**
 * The script's answer, one reply or error for each request.
 *
 * @throws StoreError `too-late`, `other-incarnation`, `overloaded`: nothing of them was booked
 */
export function scriptReplies(
  { requests, terms }: Part,
  keys: readonly string[],
  answer: readonly (number | string)[],
): (StoreReply | StoreError)[] {
  let position = 0;
  const next = () => Number(answer[position++]);
  const nowMs = next();
  const refusal = refusalOf(Number(answer[1]), nowMs, terms);
  if (refusal !== null) throw refusal;
  const shownReply = (): StepReply => {
    const first = next();
    const granted = first < 0 ? { granted: -first } : {};
    const [used, resetAfterMs, retryMs] = [first < 0 ? next() : first, next(), next()];
    const retryAfterMs = retryMs < 0 ? null : retryMs;
    return { allowed: retryMs === 0, used, ...granted, resetAfterMs, retryAfterMs };
  };
  const stepReply = ({ event }: Step): StepReply => {
    const reply = shownReply();
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
    if (status === SHOWN) return { allowed: true, nowMs, steps: steps.map(shownReply) };
    if (status === PLACED) return { allowed: true, nowMs, waitMs: next(), steps: steps.map(stepReply) };
    if (status === FIRM) return { allowed: false, nowMs, firm: true, steps: steps.map(stepReply) };
    return { allowed: status === 1, nowMs, steps: steps.map(stepReply) };
  });
  if (position !== answer.length) throw new RangeError("the script's answer has another length than it must have");
  return replies;
}

/** Why the terms refuse all of it, or `null`. */
function refusalOf(status: number, nowMs: number, { notAfterMs = nowMs, receipt }: Terms = {}): StoreError | null {
  switch (status) {
    case TOO_LATE:
      return refused("too-late", `it is ${nowMs - notAfterMs} ms after the batch's deadline`);
    case OTHER_INCARNATION:
      return refused("other-incarnation", "the store has lost what it held since the sender last heard of it");
    case SETTLED:
      return refused("too-late", `the batch ${receipt?.number} is settled`);
    case OVERLOADED:
      return refused("overloaded", `${MAX_RECEIPTS} batches of the instance are open`);
    default:
      return null;
  }
}

function refused(code: "too-late" | "other-incarnation" | "overloaded", message: string): StoreError {
  return new StoreError(code, message, { transient: true });
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
