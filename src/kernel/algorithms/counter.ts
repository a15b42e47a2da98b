// What budgets and fixed windows share beside their rules (rules/counter.ts).

import type { CounterState } from "./rules/counter.ts";

export function overwriteCounter(target: CounterState, source: CounterState): boolean {
  if (target.seen !== source.seen) return false;
  const own: { spent: number; expiresAtMs: number } = target;
  own.spent = source.spent;
  own.expiresAtMs = source.expiresAtMs;
  return true;
}
