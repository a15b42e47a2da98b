// Whether the steps of a request may be booked.

import { type LimitSpec, rulesOf } from "../algorithms/rules/registry.ts";
import { MAX_UNITS } from "../algorithms/rules/rules.ts";
import { notAhead } from "../bucket/ahead.ts";
import { type Contents, entryIn, isSeen, isStopped, ownState, readContents } from "../bucket/contents.ts";
import { isLive, NO_ENTRIES, sumsOf } from "../bucket/entries.ts";
import { grantIn } from "../bucket/grants.ts";
import { turnAfterMs } from "../bucket/queue.ts";
import type { Step, StepEvent, Wait } from "../request.ts";
import type { Entry, StoredState } from "../state.ts";
import type { Writable } from "../writable.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** A step, what its bucket holds before it, and whether it may be booked. */
export interface Judged extends Writable<Contents> {
  step: Step;
  /** The bucket's state, as far as a right clock can have written it. */
  state: StoredState | undefined;
  /** Whether it may be booked, at once or at its turn. */
  fits: boolean;
  /**
   * Until its turn in the queue. 0 when it does not wait: it fits, it has no queue, its turn is too late, or only holds are in
   * its way, which may end at any time.
   */
  waitMs: number;
  /** The entry that the event names: a hold, a queued call or a grant. */
  entry: Entry | undefined;
  /** When the bucket with its entries ends after the step, where the reply came to know it. */
  endMs: number | null;
}

/**
 * The steps of the request that is decided. Each request writes over them: to make a record and the contents of each bucket
 * takes longer than to judge them. Nothing of them is in a reply or in a state.
 */
const records: Judged[] = [];

/** The record of the step at an index, which has been judged. */
export function judgedAt(i: number): Judged {
  return records[i] as Judged;
}

function recordFor(i: number, step: Step): Judged {
  const known = records[i];
  if (known !== undefined) return known;
  const made: Judged = {
    step,
    state: undefined,
    spent: undefined,
    entries: NO_ENTRIES,
    fits: false,
    waitMs: 0,
    entry: undefined,
    endMs: null,
  };
  records[i] = made;
  return made;
}

/** The record of the step at an index, with what lies in its bucket. */
export function readStep(i: number, step: Step, state: StoredState | undefined, nowMs: number): Judged {
  const judged = recordFor(i, step);
  const { limit } = step;
  judged.step = step;
  judged.state = state;
  if (state === undefined) {
    judged.spent = undefined;
    judged.entries = NO_ENTRIES;
    return judged;
  }
  const own = ownState(limit, state, nowMs);
  const right = own === undefined ? undefined : notAhead(limit, own, nowMs);
  if (right !== own) judged.state = right;
  readContents(judged, limit, right, nowMs);
  return judged;
}

/** Judges the step at an index. */
export function judge(
  i: number,
  step: Step,
  state: StoredState | undefined,
  wait: Wait | undefined,
  nowMs: number,
): Judged {
  const judged = readStep(i, step, state, nowMs);
  judged.entry = judged.entries.length === 0 ? undefined : namedIn(judged, step.event);
  judged.fits = stepFits(step, judged, judged.entry, nowMs);
  judged.waitMs = 0;
  if (!judged.fits && wait !== undefined) {
    const waitMs = waitFor(step, judged, nowMs);
    if (waitMs <= wait.maxMs) judged.waitMs = waitMs;
  }
  return judged;
}

function namedIn(contents: Contents, event: StepEvent): Entry | undefined {
  const { type } = event;
  if (type === "settle" || type === "extend" || type === "grant") return entryIn(contents, event.id);
  return type === "revoke" ? grantIn(contents, event.id) : undefined;
}

/** Milliseconds until a step's turn in the queue of its bucket; `Infinity` where it does not wait. */
function waitFor(step: Step, before: Contents, nowMs: number): number {
  const { limit, event, shadow } = step;
  const { queues, flow } = rulesOf(limit);
  // Only in a bucket that flows is a hold spent when it is made, so that time alone brings its turn.
  const isWaitable = event.type === "charge" || (event.type === "hold" && flow !== undefined);
  if (!queues || !isWaitable || shadow === true) return NEVER;
  return turnAfterMs(limit, before, unitsNeeded(event), nowMs);
}

function stepFits(step: Step, before: Contents, entry: Entry | undefined, nowMs: number): boolean {
  const { limit, event } = step;
  if (event.type === "extend") return entry !== undefined && isLive(entry);
  if (event.type === "charge" && event.seen !== undefined && isCounted(limit, before, event.seen)) return true;
  const rules = rulesOf(limit);
  const capacity = rules.capacity(limit);
  const needed = unitsNeeded(event);
  const spentUnits = rules.used(limit, before.spent, nowMs);
  if (before.entries.length === 0) return needed <= capacity - spentUnits;
  // Grants lower the need and do not raise the capacity, so that no sum passes 2^53. They add nothing to a capacity of 0,
  // which is a stop.
  const { held, granted } = sumsOf(before.entries);
  return (capacity === 0 ? needed : needed - granted) <= capacity - Math.min(spentUnits + held, MAX_UNITS);
}

/** Whether a value is counted already, and may be used once more. */
function isCounted(limit: LimitSpec, before: Contents, value: string): boolean {
  return !isStopped(limit) && isSeen(limit, before, value);
}

/** Free units that an event needs; the others are never denied. */
export function unitsNeeded(event: StepEvent): number {
  const { type } = event;
  if (type === "charge") return unitsFor(event.cost);
  return type === "hold" ? unitsFor(event.units) : Number.NEGATIVE_INFINITY;
}

/** Free units that a charge needs: an unknown cost (0) needs one, so that a spent budget stops it. */
export function unitsFor(cost: number): number {
  return cost > 1 ? cost : 1;
}
