// The state that `quota` and `fixed-window` share: units spent until an instant. As text it is a plain integer.

/** Units spent until `expiresAtMs` (epoch ms). */
export interface CounterState {
  readonly kind: "counter";
  readonly spent: number;
  readonly expiresAtMs: number;
}

/** What does not depend on when the counter ends. */
export const counter = {
  kind: "counter",
  capacity: (limit: { readonly quota: number }) => limit.quota,
  used: (_limit: unknown, state: CounterState | undefined) => state?.spent ?? 0,
  /** All units come back together. */
  freeAfterMs: (limit: { readonly quota: number }, state: CounterState, units: number, nowMs: number) =>
    units <= limit.quota - state.spent ? 0 : state.expiresAtMs - nowMs,
  encode: (state: CounterState) => String(state.spent),
  decode(text: string, expiresAtMs: number): CounterState | null {
    const spent = Number(text);
    if (!/^(0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(spent)) return null;
    return { kind: "counter", spent, expiresAtMs };
  },
} as const;

/** Units spent after `cost` more, at most 2^53 - 1. */
export function spentAfter(state: CounterState, cost: number): number {
  return state.spent + Math.min(cost, Number.MAX_SAFE_INTEGER - state.spent);
}
