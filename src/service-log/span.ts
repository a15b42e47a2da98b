// The span of time that a query is about.

import { systemClock } from "../clock.ts";
import { invalidQuery } from "../service/problems.ts";

export const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const MAX_POINTS = 1_500;

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A span: the last hour where nothing is said. Throws ProblemError 400 where it ends before it begins. */
export function spanOf({ fromMs, toMs }: Partial<Span>): Span {
  const end = toMs ?? systemClock.nowMs();
  const begin = fromMs ?? Math.max(0, end - HOUR_MS);
  if (begin > end) throw invalidQuery("fromMs", "a time that is not after toMs", String(begin));
  return { fromMs: begin, toMs: end };
}

/** The length of a point in minutes. Throws ProblemError 400 where there would be too many points. */
export function stepOf({ fromMs, toMs }: Span, asked: number | undefined): number {
  const least = Math.max(1, Math.ceil((toMs - fromMs) / MINUTE_MS / MAX_POINTS));
  if (asked === undefined) return least;
  if (asked >= least) return asked;
  throw invalidQuery("stepMinutes", `at least ${least}, for ${MAX_POINTS} points at most`, String(asked));
}
