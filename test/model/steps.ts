// One step on a bucket: whether it may be booked, what becomes of the bucket, and how it is answered.

import type { Step, StepEvent } from "../../src/kernel/request.ts";
import { belongs } from "./log.ts";
import {
  type Bucket,
  canQueue,
  capacityOf,
  copyOf,
  grant,
  grantedIn,
  hasSeen,
  isFreeAt,
  type Lying,
  rateOf,
  report,
  spend,
  usedIn,
} from "./bucket.ts";

export interface Turn {
  readonly id: string;
  readonly atMs: number;
}

/** Free units that an event needs; `null` where it is never denied for want of units. */
export function neededBy(event: StepEvent): number | null {
  if (event.type === "charge") return Math.max(1, event.cost);
  return event.type === "hold" ? Math.max(1, event.units) : null;
}

export function named(bucket: Bucket, event: StepEvent): Lying | undefined {
  if (event.type === "revoke") return bucket.lying.find(({ kind, id }) => kind === "grant" && id === event.id);
  if (event.type !== "settle" && event.type !== "extend" && event.type !== "grant") return undefined;
  return bucket.lying.find(({ id }) => id === event.id);
}

export function isLive(lying: Lying | undefined): lying is Lying {
  return lying !== undefined && lying.kind !== "raise" && !lying.hasEnded;
}

/** How an event finds what it names; `undefined` where it names nothing. */
export function foundBy(bucket: Bucket, event: StepEvent): "live" | "late" | "unknown" | undefined {
  if (!["settle", "extend", "grant", "revoke"].includes(event.type)) return undefined;
  const lying = named(bucket, event);
  if (lying === undefined) return "unknown";
  if (event.type !== "grant") return isLive(lying) ? "live" : "late";
  const isSame = lying.kind === "grant" && lying.units === event.units && lying.leaseMs === event.leaseMs;
  // A bucket that flows was filled by it at once, so it is there until it is forgotten.
  return isSame && (isLive(lying) || rateOf(bucket) !== null) ? "live" : "late";
}

export function fits(bucket: Bucket, event: StepEvent, nowMs: number): boolean {
  if (event.type === "extend") return isLive(named(bucket, event));
  const needed = neededBy(event);
  if (needed === null) return true;
  if (event.type === "charge" && event.seen !== undefined && capacityOf(bucket) > 0) {
    if (hasSeen(bucket, event.seen, nowMs)) return true;
  }
  return needed - grantedIn(bucket) <= capacityOf(bucket) - usedIn(bucket, nowMs);
}

/** Milliseconds until a step's turn behind all calls that wait, whatever becomes of holds; `null` where it has none. */
export function turnAfterMs(bucket: Bucket, { event, shadow }: Step, maxMs: number, nowMs: number): number | null {
  const canWait = event.type === "charge" || (event.type === "hold" && rateOf(bucket) !== null);
  const needed = neededBy(event);
  if (!canQueue(bucket) || !canWait || shadow === true || needed === null) return null;
  const alone = copyOf(bucket);
  alone.lying = alone.lying.filter(({ kind }) => kind === "queued").map(({ becomes: _, ...call }) => call);
  for (let waitMs = 0; waitMs <= maxMs; waitMs++) if (isFreeAt(alone, needed, nowMs + waitMs)) return waitMs;
  return null;
}

/** Books a step: now, at its turn, or as if at an earlier instant. */
export function bookStep(bucket: Bucket, event: StepEvent, turn: Turn | null, atMs: number, nowMs: number): void {
  const { type } = event;
  if (type === "charge") charge(bucket, event, turn, atMs, nowMs);
  if (type === "hold") hold(bucket, event, turn, nowMs);
  if (type === "settle") settle(bucket, named(bucket, event), event.units, atMs, nowMs);
  if (type === "extend") extend(bucket, named(bucket, event), event.leaseMs, nowMs);
  if (type === "report") report(bucket, event.outcome, nowMs);
  if (type === "grant") grant(bucket, event.id, event.units, event.leaseMs, nowMs);
  if (type === "revoke") revoke(named(bucket, event), nowMs);
  if (type === "raise") raise(bucket, event, nowMs);
  if (type === "reset") empty(bucket);
}

function empty(bucket: Bucket): void {
  bucket.log = [];
  bucket.queue.parts.length = 0;
  bucket.lying = [];
}

type EventOf<Type extends StepEvent["type"]> = Extract<StepEvent, { readonly type: Type }>;

function charge(
  bucket: Bucket,
  { cost, seen }: EventOf<"charge">,
  turn: Turn | null,
  atMs: number,
  nowMs: number,
): void {
  if (seen !== undefined && hasSeen(bucket, seen, nowMs)) return;
  const isQueued = turn !== null && seen === undefined && cost > 0 && bucket.limit.algorithm !== "elapsed";
  if (isQueued) queue(bucket, turn, cost, nowMs);
  else spend(bucket, cost, atMs, nowMs, seen);
}

function queue(bucket: Bucket, { id, atMs }: Turn, units: number, nowMs: number, becomes?: Lying["becomes"]): void {
  const call = { kind: "queued", id, units, leaseMs: atMs - nowMs, endMs: atMs, hasEnded: false } as const;
  bucket.lying.push(becomes === undefined ? call : { ...call, becomes });
}

function hold(bucket: Bucket, event: EventOf<"hold">, turn: Turn | null, nowMs: number): void {
  const { id, units, onExpiry } = event;
  if (units === 0) return;
  const flows = rateOf(bucket) !== null;
  if (flows && turn !== null) {
    queue(bucket, { id, atMs: turn.atMs }, units, nowMs, { onExpiry, leaseMs: event.leaseMs });
    return;
  }
  // The lease begins at the turn.
  const leaseMs = event.leaseMs + (turn === null ? 0 : turn.atMs - nowMs);
  const part = flows ? spend(bucket, units, nowMs, nowMs) : null;
  const made = { kind: "hold", id, units, leaseMs, onExpiry, endMs: nowMs + leaseMs, hasEnded: false } as const;
  bucket.lying.push(part === null ? made : { ...made, part });
}

/** Spends what a call took that is not spent yet, and ends its hold. */
function settle(bucket: Bucket, lying: Lying | undefined, units: number, atMs: number, nowMs: number): void {
  if (lying !== undefined) endEarly(bucket, lying, units);
  const isHold = lying?.kind === "hold";
  const isSpent = isHold && (lying.hasEnded ? lying.onExpiry === "charge" : lying.part !== undefined);
  spend(bucket, isSpent ? Math.max(0, units - lying.units) : units, atMs, nowMs);
}

/** Ends a hold of which so many units were needed. The others flow back, where they were spent when it was made. */
export function endEarly(bucket: Bucket, lying: Lying, needed: number): void {
  bucket.lying = bucket.lying.filter((each) => each !== lying);
  const { hasEnded, part } = lying;
  if (hasEnded || part === undefined) return;
  const unused = Math.max(0, lying.units - needed) * (rateOf(bucket)?.levelPerUnit ?? 0);
  part.level -= Math.min(part.level, unused);
}

function extend(bucket: Bucket, lying: Lying | undefined, leaseMs: number, nowMs: number): void {
  if (!isLive(lying)) return;
  bucket.lying = bucket.lying.filter((each) => each !== lying);
  const { becomes } = lying;
  // What is queued keeps its turn, and lives longer as the hold that it becomes.
  if (becomes !== undefined) {
    const longerMs = Math.max(becomes.leaseMs, nowMs + leaseMs - lying.endMs);
    bucket.lying.push({ ...lying, becomes: { ...becomes, leaseMs: longerMs } });
  } else bucket.lying.push(Object.assign(lying, { endMs: Math.max(lying.endMs, nowMs + leaseMs) }));
}

function revoke(lying: Lying | undefined, nowMs: number): void {
  if (!isLive(lying)) return;
  lying.hasEnded = true;
  lying.endMs = nowMs;
}

/** Gives back use that was lost, as far as a higher view of it was not given back before. */
function raise(bucket: Bucket, { id, units, atMs, keptMs, lost }: EventOf<"raise">, nowMs: number): void {
  if (["elapsed", "streak", "concurrency"].includes(bucket.limit.algorithm)) return;
  const before = bucket.lying.find((each) => each.id === id);
  const known = before?.units ?? (lost === "some" ? usedIn(bucket, nowMs) : 0);
  if (units <= known && (before !== undefined || lost === "all")) return;
  if (units > known && !counts(bucket, units - known, atMs, nowMs)) return;
  bucket.lying = bucket.lying.filter((each) => each !== before);
  const made = { kind: "raise", id, units: Math.max(units, known), leaseMs: keptMs, hasEnded: true } as const;
  bucket.lying.push({ ...made, endMs: nowMs + keptMs });
}

/** Spends units that were used at an earlier instant. Returns whether they change what counts. */
function counts(bucket: Bucket, units: number, atMs: number, nowMs: number): boolean {
  const { limit, log } = bucket;
  const isOvertaken = limit.algorithm === "cooldown" && log.some((booking) => booking.atMs > atMs);
  const part = spend(bucket, units, atMs, nowMs);
  if (part !== null) return part.level > 0;
  return belongs(limit, log, atMs, nowMs) && !isOvertaken;
}
