// The state that budgets and fixed windows share: units spent until an instant. As text it is a plain integer.

import { isEnd } from "./algorithm.ts";

/** Units spent until `expiresAtMs` (epoch ms). */
export interface CounterState {
  readonly kind: "counter";
  readonly spent: number;
  readonly expiresAtMs: number;
  /** Of a limit that counts values: their hashes, joined by commas. */
  readonly seen?: string;
}

/** Most values that a bucket remembers. One more is counted again each time it comes. */
export const MAX_SEEN = 1_000;
/** Hexadecimal digits of a value's hash. */
export const VALUE_LENGTH = 16;

/** The facts that do not depend on when the counter ends. */
export const counterFacts = {
  kind: "counter" as const,
  letter: "c",
  capacity: ({ quota }: { readonly quota: number }) => quota,
  used: (_limit: unknown, state: CounterState | undefined) => state?.spent ?? 0,
  /** All units come back together. */
  freeAfterMs: (limit: { readonly quota: number }, state: CounterState, units: number, nowMs: number) =>
    units <= limit.quota - state.spent ? 0 : state.expiresAtMs - nowMs,
  takeBack: (_limit: unknown, state: CounterState, _alone: CounterState, cost: number): CounterState => ({
    ...state,
    spent: Math.max(0, state.spent - cost),
  }),
  hasSeen,
  withSeen,
  overwrite(target: CounterState, source: CounterState): boolean {
    if (target.seen !== source.seen) return false;
    const own: { spent: number; expiresAtMs: number } = target;
    own.spent = source.spent;
    own.expiresAtMs = source.expiresAtMs;
    return true;
  },
  encode: ({ spent, seen }: CounterState) => (seen === undefined ? String(spent) : `c1 ${spent} ${seen}`),
  decode(text: string, expiresAtMs: number): CounterState | null {
    const match = /^(?:c1 )?(0|[1-9][0-9]*)(?: ([0-9a-f]{16}(?:,[0-9a-f]{16})*))?$/.exec(text);
    const spent = Number(match?.[1]);
    const seen = match?.[2];
    if (match === null || !Number.isSafeInteger(spent) || !isEnd(expiresAtMs)) return null;
    if (text.startsWith("c") !== (seen !== undefined)) return null;
    return counterOf(spent, expiresAtMs, seen);
  },
};

export function counterOf(spent: number, expiresAtMs: number, seen?: string): CounterState {
  return seen === undefined ? { kind: "counter", spent, expiresAtMs } : { kind: "counter", spent, expiresAtMs, seen };
}

/** The counter with `cost` units more, at most 2^53 - 1, until an instant. */
export function withSpent({ spent: before, seen }: CounterState, cost: number, expiresAtMs: number): CounterState {
  const spent = before + Math.min(cost, Number.MAX_SAFE_INTEGER - before);
  // Not through counterOf: nearly every call books here, and a call in memory would take 7 % longer.
  return seen === undefined ? { kind: "counter", spent, expiresAtMs } : { kind: "counter", spent, expiresAtMs, seen };
}

/** The counter, which ends at the latest at an instant. */
export function endedBy(state: CounterState, latestMs: number): CounterState {
  return state.expiresAtMs > latestMs ? { ...state, expiresAtMs: latestMs } : state;
}

export function hasSeen({ seen = "" }: CounterState, value: string): boolean {
  return seen.includes(value);
}

export function withSeen(state: CounterState, value: string): CounterState {
  if (state.seen === undefined) return { ...state, seen: value };
  return state.seen.length < MAX_SEEN * (VALUE_LENGTH + 1) - 1 ? { ...state, seen: `${state.seen},${value}` } : state;
}
