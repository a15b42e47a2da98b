// What a policy asks the algorithm of a limit: how its keys become numbers, and which of them contradict each other.

/** How windows of a calendar lie. */
export interface CalendarWindow {
  readonly every: "day" | "week" | "month";
  /** A time zone by its IANA name. */
  readonly timezone: string;
  /**
   * The day on which a window begins: 1 (Monday) to 7 of a week, 1 to 31 of a month. A month without that day begins on its
   * last.
   */
  readonly anchorDay: number;
}

/** A limit as it is written, with the keys that an algorithm may look at. The schema has checked each key by itself. */
export interface WrittenLimit {
  readonly per: readonly string[];
  readonly unit?: string | undefined;
  readonly window?: string | undefined;
  readonly align?: "epoch" | "first-use" | undefined;
  readonly timezone?: string | undefined;
  readonly anchorDay?: number | undefined;
  readonly burst?: number | string | undefined;
  readonly resetAfter?: string | undefined;
  readonly resetAfterIdle?: string | undefined;
  readonly of?: "errors" | "results" | undefined;
}

/** Reports a fault at some keys of a limit unless a condition is met. */
export type Demand = (isMet: boolean, keys: readonly (string | number)[], expected: string, got: unknown) => void;

export interface AlgorithmPolicy<Limit> {
  /** The key that says how much a limit allots, in the limit itself and in its overrides. Default: `quota`. */
  readonly amountKey: "quota" | "pause";
  /** The numbers of a limit that allots an amount. A calendar's boundaries are set when a store is asked. */
  specOf(limit: WrittenLimit, amount: number, burst?: number | string): Limit;
  /** The quota that verdicts show for an amount. Default: the amount. */
  quotaOf(amount: number): number;
  /** The unit in verdicts and messages. Default: the limit's `unit`, or `calls`. */
  unit(limit: WrittenLimit): string;
  /** What every call takes, whatever it costs; `null` where its cost says it. Default: `null`. */
  readonly callPrice: number | null;
  /** Which outcomes of calls it counts. Default: none. */
  reports(limit: WrittenLimit): "errors" | "results" | null;
  /** How its windows lie in the calendar. Default: they do not. */
  calendar(limit: WrittenLimit): CalendarWindow | null;
  /** Whether a limit without `algorithm` has this one, by its other keys. Default: false. */
  isImplied(limit: Readonly<Record<string, unknown>>): boolean;
  /** The fixed length of its window; `null` where there is none. Default: `null`. */
  windowMs(limit: WrittenLimit, amount: number): number | null;
  /** The share of the quota at which notices begin by default; `null` for never. Default: `null`. */
  readonly noticeAt: number | null;
  /** Whether an unlimited bucket counts anything. Default: true. */
  readonly isUnlimitedCounted: boolean;
  /** The numbers of an unlimited limit. Default: those of the largest quota. */
  readonly unlimitedSpec: Limit | null;
  /** Whether quotas have an upper bound, so that a quota from a call needs a `max`. Default: false. */
  readonly hasLargestQuota: boolean;
  /** What a quota must be, where this one is not; else `null`. Default: any quota is fine. */
  quotaFault(spec: Limit, units: number): string | null;
  /** What the largest quota from a call must be, where this one is not; else `null`. Default: any is fine. */
  claimFault(limit: WrittenLimit, max: number): string | null;
  /** Reports keys that contradict each other. Default: none do. */
  contradictions(limit: WrittenLimit, demand: Demand): void;
  /** What limit a grant needs, where this one takes none; else `null`. Default: `null`. */
  readonly grantFault: string | null;
}
