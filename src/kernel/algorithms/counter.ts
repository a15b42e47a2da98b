// The state that `quota` and `fixed-window` share: units spent until an instant. As text it is a plain integer.

/** Units spent until `expiresAtMs` (epoch ms). */
export interface CounterState {
  readonly kind: "counter";
  readonly spent: number;
  readonly expiresAtMs: number;
}

/** Milliseconds until `units` are free: all of them come back together when the counter expires. */
export function freeAfterMs(quota: number, state: CounterState, units: number, nowMs: number): number {
  return units <= quota - state.spent ? 0 : state.expiresAtMs - nowMs;
}

export function encode(state: CounterState): string {
  return String(state.spent);
}

export function decode(text: string, expiresAtMs: number): CounterState | null {
  const spent = Number(text);
  return /^(0|[1-9][0-9]*)$/.test(text) && Number.isSafeInteger(spent) ? { kind: "counter", spent, expiresAtMs } : null;
}
