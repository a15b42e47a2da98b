// A batch as the script takes it, and the script's answer as replies. Plain numbers both ways: apply.lua says which.

import type { LimitSpec } from "../../kernel/algorithms/registry.ts";
import { type Step, type StepReply, StoreError, type StoreReply, type StoreRequest } from "../../store.ts";

/** KEYS and ARGV of a script call. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly values: readonly number[];
}

const MODES = { judge: 0, peek: 1, force: 2 } as const;
const READ = -1;
const RESET = -2;

/** Each bucket and each limit stands once, and steps name them by number. */
export function scriptCall(requests: readonly StoreRequest[]): ScriptCall {
  const keys = new Map<string, number>();
  const limits = new Map<LimitSpec, number>();
  const values: number[] = [];
  for (const { mode, steps } of requests) {
    values.push(MODES[mode], steps.length);
    for (const { bucket, limit, event } of steps) {
      values.push(numberOf(keys, bucket), numberOf(limits, limit), asks(event));
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

function asks(event: Step["event"]): number {
  if (event.type === "charge") return event.cost;
  return event.type === "read" ? READ : RESET;
}

function limitNumbers(limit: LimitSpec): number[] {
  switch (limit.algorithm) {
    case "quota":
      return [1, limit.quota, limit.ttlMs, limit.ttlFrom === "first" ? 1 : 0];
    case "fixed-window":
      return [2, limit.quota, limit.windowMs, limit.align === "first-use" ? 1 : 0];
    case "sliding-window":
      return [3, limit.quota, limit.windowMs, 0];
    case "gcra":
      return [4, limit.burst, limit.levelPerUnit, limit.levelPerMs];
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
  const stepReply = (): StepReply => {
    const [used, resetAfterMs, retryAfterMs] = [next(), next(), next()];
    return { allowed: retryAfterMs === 0, used, resetAfterMs, retryAfterMs: retryAfterMs < 0 ? null : retryAfterMs };
  };
  const replies = requests.map(({ steps }): StoreReply | StoreError => {
    const status = next();
    if (status < 0) return bucketError(status, keys[next() - 1] ?? "");
    return { allowed: status === 1, nowMs, steps: steps.map(stepReply) };
  });
  if (position !== answer.length) throw new RangeError("the script's answer has another length than it must have");
  return replies;
}

function bucketError(status: number, key: string): StoreError {
  return status === -1
    ? new StoreError("damaged-bucket", `the key ${key} holds what no version writes`, { transient: false })
    : new StoreError("wrong-type", `the key ${key} holds another type than a string`, { transient: false });
}
