/** The percentile of some times in milliseconds, to the microsecond: 0.5 is the median, 1 the worst. */
export function percentileMs(timesMs: readonly number[], share: number): number {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const ms = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
  return Math.round(ms * 1_000) / 1_000;
}
