// What was spent in a bucket, as a list of bookings, and what of it counts at an instant: by the rule of its limit alone,
// counted again for each question. It shares no code with the kernel.

import type { LimitSpec } from "../../src/kernel/algorithms/registry.ts";

/** Units that were spent, or, of a streak, an outcome that was reported. */
export interface Booking {
  /** The instant that it belongs to. */
  readonly atMs: number;
  /** When it was booked. Later than that, where the call was admitted while the store was away. */
  readonly bookedMs: number;
  /** 0 once it was taken back: it keeps what it began. */
  units: number;
  /** The value that was counted with it. */
  readonly seen?: string;
  readonly outcome?: string;
}

export type Log = Booking[];

export function total(log: readonly Booking[]): number {
  return log.reduce((sum, { units }) => sum + units, 0);
}

/** What a limit counts at an instant. */
export function countedUnits(limit: LimitSpec, log: Log, nowMs: number): number {
  const counted = countedAt(limit, log, nowMs);
  if (limit.algorithm === "elapsed") return counted[0] === undefined ? 0 : nowMs - counted[0].atMs;
  if (limit.algorithm === "cooldown") return counted.length > 0 ? 1 : 0;
  return total(counted);
}

/** The bookings that count at an instant. */
export function countedAt(limit: LimitSpec, log: Log, nowMs: number): Log {
  switch (limit.algorithm) {
    case "budget":
      return lifeAt(log, limit.ttlMs, limit.ttlFrom, nowMs);
    case "fixed-window":
      if (limit.align === "first-use") return lifeAt(log, limit.windowMs, "first", nowMs);
      return log.filter(({ atMs }) => windowEndMs(limit, atMs) === windowEndMs(limit, nowMs));
    case "sliding-window":
      return log.filter((booking) => nowMs < leavesAtMs(limit, countedAsMs(limit, log, booking)));
    case "elapsed":
      return lifeAt(log, limit.ttlMs, "last", nowMs);
    case "cooldown":
      return log.filter(({ atMs }) => nowMs < atMs + limit.pauseMs);
    case "streak":
      return streakAt(log, limit.ttlMs, nowMs);
    default:
      return [];
  }
}

/** Whether what is booked now belongs to what counts now, or counts still. */
export function belongs(limit: LimitSpec, log: Log, atMs: number, nowMs: number): boolean {
  if (atMs >= nowMs) return true;
  const [first] = countedAt(limit, log, nowMs);
  const alone = countedAt(limit, [{ atMs, bookedMs: nowMs, units: 1 }], nowMs).length > 0;
  const beginsOnce = limit.algorithm === "budget" ? limit.ttlFrom === "first" : isFirstUse(limit);
  // What begins now is a window that may have been cut: then what has not ended belongs to it.
  if (beginsOnce && first !== undefined) return first.atMs >= nowMs ? alone : atMs >= first.atMs;
  return (limit.algorithm === "budget" && first !== undefined) || limit.algorithm === "elapsed" || alone;
}

function isFirstUse(limit: LimitSpec): boolean {
  return limit.algorithm === "fixed-window" && limit.align === "first-use";
}

/** When the window ends that an instant is in; `null` where a limit has no windows that end for all units together. */
export function windowEndAtMs(limit: LimitSpec, log: Log, nowMs: number): number | null {
  if (limit.algorithm !== "fixed-window") return null;
  if (limit.align !== "first-use") return windowEndMs(limit, nowMs);
  return (countedAt(limit, log, nowMs)[0]?.atMs ?? nowMs) + limit.windowMs;
}

function windowEndMs(limit: Extract<LimitSpec, { algorithm: "fixed-window" }>, atMs: number): number {
  if (limit.align === "calendar") return limit.boundaries.find((boundary) => atMs < boundary) ?? Number.NaN;
  return (Math.floor(atMs / limit.windowMs) + 1) * limit.windowMs;
}

/**
 * The bookings of the life that is there at an instant: it ends some time after its first or its last booking. One that is
 * booked late joins the life that is there then, or begins one at its own instant.
 */
export function lifeAt(log: Log, lengthMs: number, from: "first" | "last", nowMs: number): Log {
  let life: Booking[] = [];
  const endMs = () => {
    const instants = life.map(({ atMs }) => atMs);
    return (from === "first" ? (instants[0] ?? 0) : Math.max(...instants, 0)) + lengthMs;
  };
  for (const booking of log) {
    if (booking.bookedMs >= endMs()) life = [];
    life.push(booking);
  }
  return nowMs < endMs() ? life : [];
}

/** A unit leaves a sliding window with the last instant of its tenth. */
function leavesAtMs({ windowMs }: { readonly windowMs: number }, atMs: number): number {
  const tenthMs = Math.ceil(windowMs / 10);
  return (Math.floor(atMs / tenthMs) + 1) * tenthMs - 1 + windowMs;
}

/** What is booked late counts as if it were the last unit that counts by then. */
function countedAsMs(limit: { readonly windowMs: number }, log: Log, booking: Booking): number {
  const before: number[] = [];
  for (const each of log) {
    const counting = before.filter((atMs) => each.bookedMs < leavesAtMs(limit, atMs));
    const asMs = Math.max(each.atMs, ...counting);
    if (each === booking) return asMs;
    before.push(asMs);
  }
  return booking.atMs;
}

/** The reports in a row of the last outcome. */
function streakAt(log: Log, ttlMs: number, nowMs: number): Log {
  let row: Booking[] = [];
  for (const report of log) {
    const last = row.at(-1);
    const goesOn = last !== undefined && report.atMs < last.atMs + ttlMs && report.outcome === last.outcome;
    row = goesOn ? [...row, report] : [report];
  }
  const last = row.at(-1);
  return last !== undefined && last.outcome !== undefined && nowMs < last.atMs + ttlMs ? row : [];
}
