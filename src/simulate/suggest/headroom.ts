// How high a quota must be, so that sessions that were not seen yet have enough of it.

/** How some number is spread over sessions. */
export interface Spread {
  readonly sessions: number;
  readonly median: number;
  /** Nine of ten sessions have at most this. */
  readonly ninth: number;
  readonly max: number;
  /** How far the highest quarter lies above the others, on average. */
  readonly excess: number;
}

/** The share of the sessions that the end of a spread is seen from, and the fewest of them. */
const TAIL_SHARE = 0.25;
const FEWEST_IN_TAIL = 3;

export function spreadOf(values: readonly number[]): Spread {
  const falling = values.toSorted((one, other) => other - one);
  const at = (place: number) => falling[Math.max(0, Math.min(place, falling.length - 1))] ?? 0;
  const inTail = Math.min(falling.length - 1, Math.max(FEWEST_IN_TAIL, Math.ceil(falling.length * TAIL_SHARE)));
  const tail = falling.slice(0, inTail);
  const excess = tail.reduce((sum, value) => sum + value - at(inTail), 0) / Math.max(1, tail.length);
  return {
    sessions: falling.length,
    median: at(Math.floor(falling.length / 2)),
    ninth: at(Math.floor(falling.length / 10)),
    max: at(0),
    excess,
  };
}

/**
 * The highest number to expect: above the highest that was seen by a share that falls with the number of sessions, and by the
 * excess of the highest quarter, `steps` times. So a long tail gets more than sessions that are all alike.
 */
export function withHeadroom({ sessions, max, excess }: Spread, steps: number): number {
  const share = 1.25 + 5 / Math.max(1, sessions);
  return Math.ceil(Math.max(share * max, max + steps * excess));
}
