// A bucket by the rules alone: what was spent, and what lies in it beside that. Time passes in it from end to end of its
// entries, each of which does at its own instant what the kernel works out afterwards.

import type { LimitSpec } from "../../src/kernel/algorithms/registry.ts";
import { belongs, countedAt, countedUnits, type Log, windowEndAtMs } from "./log.ts";
import { book, flowTo, levelOf, type Part, type Queue, type Rate, takeOff } from "./queue.ts";

export const REMEMBERED_MS = 600_000;

export type OnExpiry = "charge" | "refund";

/** Something with an id that lies in a bucket until it ends, and is remembered afterwards. */
export interface Lying {
  readonly kind: "hold" | "queued" | "grant" | "raise";
  readonly id: string;
  readonly units: number;
  /** What it was made with. */
  readonly leaseMs: number;
  endMs: number;
  hasEnded: boolean;
  readonly onExpiry?: OnExpiry;
  /** Of a hold in a bucket that flows: its part of the queue. */
  readonly part?: Part;
  /** Of a queued call: the hold that it becomes. */
  readonly becomes?: { readonly onExpiry: OnExpiry; readonly leaseMs: number };
}

/** Plain data, so that a copy of it can be let run ahead. */
export interface Bucket {
  readonly limit: LimitSpec;
  log: Log;
  readonly queue: Queue;
  lying: Lying[];
}

export function bucketOf(limit: LimitSpec): Bucket {
  return { limit, log: [], queue: { parts: [], sinceMs: 0 }, lying: [] };
}

/** The rate at which a bucket flows; `null` where it does not. */
export function rateOf({ limit }: Bucket): Rate | null {
  return limit.algorithm === "token-bucket" ? limit : null;
}

export function capacityOf({ limit }: Bucket): number {
  return limit.algorithm === "token-bucket" ? limit.burst : limit.quota;
}

/** Lets all end that has ended by now, each at its own instant, and forgets what has ended long ago. */
export function pass(bucket: Bucket, nowMs: number): void {
  for (;;) {
    const due = bucket.lying.filter(({ hasEnded, endMs }) => !hasEnded && nowMs >= endMs);
    const [next] = due.toSorted((one, other) => one.endMs - other.endMs);
    if (next === undefined) break;
    end(bucket, next);
  }
  const rate = rateOf(bucket);
  if (rate !== null) flowTo(bucket.queue, rate, nowMs);
  bucket.lying = bucket.lying.filter(({ hasEnded, endMs }) => !hasEnded || nowMs < endMs + REMEMBERED_MS);
}

function end(bucket: Bucket, ending: Lying): void {
  const { kind, units, endMs, part, onExpiry, becomes } = ending;
  const rate = rateOf(bucket);
  if (rate !== null) flowTo(bucket.queue, rate, endMs);
  ending.hasEnded = true;
  if (kind === "hold" && part !== undefined && onExpiry === "refund") part.level = 0;
  if (kind === "hold" && part === undefined && onExpiry === "charge") spend(bucket, units, endMs, endMs);
  if (kind !== "queued") return;
  bucket.lying = bucket.lying.filter((each) => each !== ending);
  const booked = spend(bucket, units, endMs, endMs);
  if (becomes !== undefined && booked !== null) hold(bucket, ending, becomes, booked, endMs);
}

/** Puts a hold into a bucket that flows, whose units have just been booked. */
function hold(bucket: Bucket, { id, units }: Lying, made: NonNullable<Lying["becomes"]>, part: Part, atMs: number) {
  bucket.lying.push({ kind: "hold", id, units, ...made, endMs: atMs + made.leaseMs, hasEnded: false, part });
}

/** Spends units. Returns their part of the queue, where the bucket flows. */
export function spend(bucket: Bucket, units: number, atMs: number, nowMs: number, seen?: string): Part | null {
  const { limit, log, queue } = bucket;
  const rate = rateOf(bucket);
  if (rate !== null) return units === 0 ? null : book(queue, rate, units, atMs);
  // Being called is enough where time is counted.
  if (units === 0 && limit.algorithm !== "elapsed") return null;
  if (limit.algorithm === "streak" || !belongs(limit, log, atMs, nowMs)) return null;
  log.push({ atMs, bookedMs: nowMs, units, ...(seen === undefined ? {} : { seen }) });
  return null;
}

export function report(bucket: Bucket, outcome: string | null, nowMs: number): void {
  if (bucket.limit.algorithm !== "streak") return;
  const report = { atMs: nowMs, bookedMs: nowMs, units: 1 };
  bucket.log.push(outcome === null ? report : { ...report, outcome });
}

export function hasSeen({ limit, log }: Bucket, value: string, nowMs: number): boolean {
  const counts = limit.algorithm === "budget" || limit.algorithm === "fixed-window";
  return counts && countedAt(limit, log, nowMs).some(({ seen }) => seen === value);
}

/** Takes back a charge that was booked at an instant, as far as it counts still. */
export function takeBack(bucket: Bucket, units: number, atMs: number, nowMs: number): void {
  const { limit, queue } = bucket;
  const rate = rateOf(bucket);
  if (rate !== null) {
    const left = Math.max(0, units * rate.levelPerUnit - (nowMs - atMs) * rate.levelPerMs);
    takeOff(queue, left);
    return;
  }
  // Time and outcomes have been seen.
  if (limit.algorithm === "elapsed" || limit.algorithm === "streak") return;
  const booking = bucket.log.find((each) => each.atMs === atMs && each.units === units);
  if (booking === undefined || countedAt(limit, [booking], nowMs).length === 0) return;
  if (limit.algorithm !== "cooldown") booking.units = 0;
  // The pause before that of this call is over, or was cut short by it.
  else if (bucket.log.every((each) => each.atMs <= atMs)) bucket.log = [];
}

/** Units that are spent, and those that are kept beside them. */
export function usedIn(bucket: Bucket, nowMs: number): number {
  const { limit, log, queue, lying } = bucket;
  const rate = rateOf(bucket);
  const spent = rate === null ? countedUnits(limit, log, nowMs) : Math.ceil(levelOf(queue) / rate.levelPerUnit);
  const kept = lying.filter(({ kind, hasEnded, part }) => {
    return kind === "queued" || (kind === "hold" && !hasEnded && part === undefined);
  });
  return spent + sumOf(kept);
}

/** Units that are granted on top of the capacity; none where that is 0. */
export function grantedIn(bucket: Bucket): number {
  return capacityOf(bucket) === 0 ? 0 : sumOf(grantsIn(bucket));
}

export function grantsIn({ lying }: Bucket): Lying[] {
  const grants = lying.filter(({ kind, hasEnded }) => kind === "grant" && !hasEnded);
  return grants.toSorted((one, other) => one.endMs - other.endMs);
}

function sumOf(lying: readonly Lying[]): number {
  return lying.reduce((sum, { units }) => sum + units, 0);
}

/** A copy, whose holds have the same parts of its own queue. */
export function copyOf({ limit, log, queue, lying }: Bucket): Bucket {
  const parts = queue.parts.map(({ level }) => ({ level }));
  const partOf = (part: Part) => parts[queue.parts.indexOf(part)] ?? { level: 0 };
  return {
    limit,
    log: log.map((booking) => ({ ...booking })),
    queue: { ...queue, parts },
    lying: lying.map((each) => (each.part === undefined ? { ...each } : { ...each, part: partOf(each.part) })),
  };
}

/** Whether units are free: at an instant at which nothing has happened since than that time has passed. */
export function isFreeAt(bucket: Bucket, units: number, atMs: number): boolean {
  const later = copyOf(bucket);
  pass(later, atMs);
  return units - grantedIn(later) <= capacityOf(later) - usedIn(later, atMs);
}

/** Adds units to the capacity until the grant or the window ends; a bucket that flows is filled by them at once. */
export function grant(bucket: Bucket, id: string, units: number, leaseMs: number, nowMs: number): void {
  if (units === 0 || bucket.lying.some((each) => each.id === id)) return;
  const rate = rateOf(bucket);
  const endMs = Math.min(nowMs + leaseMs, windowEndAtMs(bucket.limit, bucket.log, nowMs) ?? Number.POSITIVE_INFINITY);
  if (rate !== null) takeOff(bucket.queue, units * rate.levelPerUnit);
  bucket.lying.push({ kind: "grant", id, units, leaseMs, endMs, hasEnded: rate !== null });
}

/** Whether only the passing of time lifts a denial by a limit. */
export function isFirm({ limit }: Bucket): boolean {
  return !["elapsed", "streak", "concurrency"].includes(limit.algorithm);
}

/** Whether calls can wait in a bucket for their turn. */
export function canQueue({ limit }: Bucket): boolean {
  return limit.algorithm === "token-bucket" || limit.algorithm === "cooldown";
}
