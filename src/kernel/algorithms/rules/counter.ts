// The state that budgets and fixed windows share: units spent until an instant. As text it is a plain integer.

import { codeAt, contains, find, numberOf, partOf, textOf } from "../../lua.ts";
import type { Writable } from "../../writable.ts";
import { isEnd, isUnits, MAX_UNITS } from "./rules.ts";

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

const COMMA = 44;
const ZERO = 48;

/** A counter of forecasts alone: each booking of one writes over it. */
export const SCRATCH_COUNTER: CounterState = { kind: "counter", spent: 0, expiresAtMs: 0 };

export function counterOf(spent: number, expiresAtMs: number, seen?: string): CounterState {
  return seen === undefined ? { kind: "counter", spent, expiresAtMs } : { kind: "counter", spent, expiresAtMs, seen };
}

/** A counter of its first units, in place of `scratch` where that is given. */
export function firstSpent(cost: number, expiresAtMs: number, scratch: CounterState | undefined): CounterState {
  return scratch === undefined ? { kind: "counter", spent: cost, expiresAtMs } : written(scratch, cost, expiresAtMs);
}

/** The counter with `cost` units more, at most 2^53 - 1, until an instant; in place of `scratch` where that is given. */
export function withSpent(
  state: CounterState,
  cost: number,
  expiresAtMs: number,
  scratch: CounterState | undefined,
): CounterState {
  const { spent: before, seen } = state;
  const spent = before + Math.min(cost, MAX_UNITS - before);
  if (scratch !== undefined) return written(scratch, spent, expiresAtMs);
  // Not through counterOf: nearly every call books here, and a call in memory would take 7 % longer.
  return seen === undefined ? { kind: "counter", spent, expiresAtMs } : { kind: "counter", spent, expiresAtMs, seen };
}

function written(scratch: Writable<CounterState>, spent: number, expiresAtMs: number): CounterState {
  scratch.spent = spent;
  scratch.expiresAtMs = expiresAtMs;
  return scratch;
}

/** The counter, which ends at the latest at an instant. */
export function endedBy(state: CounterState, latestMs: number): CounterState {
  return state.expiresAtMs > latestMs ? counterOf(state.spent, latestMs, state.seen) : state;
}

export function spentIn(_limit: unknown, state: CounterState | undefined): number {
  return state === undefined ? 0 : state.spent;
}

/** All units come back together. */
export function counterFreeAfterMs(
  limit: { readonly quota: number },
  state: CounterState,
  units: number,
  nowMs: number,
): number {
  return units <= limit.quota - state.spent ? 0 : state.expiresAtMs - nowMs;
}

/**
 * The counter of a window without units that alone would make another one. One that ends later than that began after them, or
 * has been cut.
 */
export function withoutSpentInWindow(
  _limit: unknown,
  state: CounterState,
  alone: CounterState,
  cost: number,
): CounterState {
  return state.expiresAtMs > alone.expiresAtMs ? state : withoutSpent(state, cost);
}

export function withoutSpent(state: CounterState, cost: number): CounterState {
  return counterOf(Math.max(0, state.spent - cost), state.expiresAtMs, state.seen);
}

export function counterHasSeen(state: CounterState, value: string): boolean {
  return state.seen !== undefined && contains(state.seen, value);
}

export function counterWithSeen(state: CounterState, value: string): CounterState {
  const { spent, expiresAtMs, seen } = state;
  if (seen === undefined) return { kind: "counter", spent, expiresAtMs, seen: value };
  if (seen.length >= MAX_SEEN * (VALUE_LENGTH + 1) - 1) return state;
  return { kind: "counter", spent, expiresAtMs, seen: `${seen},${value}` };
}

export function encodeCounter(state: CounterState): string {
  const { seen } = state;
  return seen === undefined ? textOf(state.spent) : `c1 ${textOf(state.spent)} ${seen}`;
}

export function decodeCounter(text: string, expiresAtMs: number): CounterState | null {
  const [plain] = find(text, "^%d+$");
  if (plain !== undefined) return countedIn(text, expiresAtMs, undefined);
  const [head, , digits, seen] = find(text, "^c1 (%d+) ([0-9a-f,]+)$");
  if (head === undefined || digits === undefined || seen === undefined || !areHashes(seen)) return null;
  return countedIn(digits, expiresAtMs, seen);
}

function countedIn(digits: string, expiresAtMs: number, seen: string | undefined): CounterState | null {
  // A zero before other digits would be written as another text.
  if (digits.length > 1 && codeAt(digits, 1) === ZERO) return null;
  const spent = numberOf(digits);
  return isUnits(spent) && isEnd(expiresAtMs) ? counterOf(spent, expiresAtMs, seen) : null;
}

/** Whether hexadecimal digits and commas are hashes, all of the same length. */
function areHashes(text: string): boolean {
  const step = VALUE_LENGTH + 1;
  if ((text.length + 1) % step !== 0) return false;
  for (let first = 1; first <= text.length; first += step) {
    const comma = first + VALUE_LENGTH;
    if (contains(partOf(text, first, comma - 1), ",")) return false;
    if (comma < text.length && codeAt(text, comma) !== COMMA) return false;
  }
  return true;
}
