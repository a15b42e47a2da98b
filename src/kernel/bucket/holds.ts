// What is in a bucket at an instant: units spent, as its algorithm counts them, and units held, which are neither spent
// nor free until they are settled or their hold expires. What each event makes of it. Not when an event may happen
// (decide.ts), nor how it is written down (stored.ts).

import { algorithmOf, algorithmOfKind, type LimitSpec, type SpentState } from "../algorithms/registry.ts";
import {
  lowered,
  returnable,
  type TokenBucketLevel,
  type TokenBucketLimit,
  type TokenBucketState,
} from "../algorithms/token-bucket.ts";
import type { NewHold } from "../request.ts";
import type { HeldState, Hold, StoredState } from "../state.ts";

/** How long a hold that expired is remembered for a late settle, and an answer for a call that is sent again. */
export const REMEMBERED_MS = 600_000;
/** Most holds in one bucket; those that expired are forgotten earlier where they would be in the way of new ones. */
export const MAX_HOLDS = 1_000;

/** Most places in one bucket: each decision on it looks at them all. */
export const MAX_PLACES = 256;

/** A turn in a row of calls that wait. */
export interface Place extends Pick<Hold, "id" | "units"> {
  readonly atMs: number;
}

/** What is in a bucket at an instant: no state that has ended, and no hold that should have expired. */
export interface Contents {
  readonly spent: SpentState | undefined;
  readonly holds: readonly Hold[];
}

const NO_HOLDS: readonly Hold[] = [];
const NOTHING: Contents = { spent: undefined, holds: NO_HOLDS };

/** What is in a bucket. A state that has ended, or is of another algorithm, is nothing. */
export function contentsAt(limit: LimitSpec, state: StoredState | undefined, nowMs: number): Contents {
  if (state === undefined || nowMs >= state.expiresAtMs) return NOTHING;
  if (state.kind === "once" || state.kind === "receipts" || state.kind === "mark") return NOTHING;
  const { kind } = algorithmOf(limit);
  if (state.kind !== "held") return state.kind === kind ? { spent: state, holds: NO_HOLDS } : NOTHING;
  if (state.of !== kind) return NOTHING;
  const draft = draftOf(state);
  const isOver = ({ expired, expiresAtMs }: Hold) => !expired && nowMs >= expiresAtMs;
  for (let i = 0; i < draft.holds.length; i++) {
    if (isOver(draft.holds[i] as Hold) && expire(limit, draft, i, false)) i--;
  }
  const holds = holdsOf(draft)
    .filter(({ expiresAtMs, onExpiry }) => nowMs < (onExpiry === "place" ? expiresAtMs : expiresAtMs + REMEMBERED_MS))
    .map((hold) => (isOver(hold) ? { ...hold, expired: true } : hold));
  return { spent: liveAt(draft.spent, nowMs), holds };
}

/** What a store keeps: `undefined` when there is nothing to keep. */
export function stateOf(
  limit: LimitSpec,
  { spent, holds }: Contents,
  nowMs: number,
): SpentState | HeldState | undefined {
  const last = holds.at(-1);
  if (last === undefined) return liveAt(spent, nowMs);
  const expiresAtMs = endOfHeld(limit, spent, holds);
  return { kind: "held", expiresAtMs, of: algorithmOf(limit).kind, spent: liveAt(spent, nowMs), holds };
}

/** When a bucket with holds ends, if nothing else happens than that they expire. */
function endOfHeld(limit: LimitSpec, spent: SpentState | undefined, holds: readonly Hold[]): number {
  const end = draftOf({ spent, holds });
  for (let i = 0; i < end.holds.length; i++) {
    if (end.holds[i]?.expired === false && expire(limit, end, i, true)) i--;
  }
  const lastMs = holds.reduce(
    (last, { expiresAtMs, becomes }) => Math.max(last, expiresAtMs + (becomes?.leaseMs ?? 0)),
    0,
  );
  return Math.max(end.spent?.expiresAtMs ?? 0, lastMs + REMEMBERED_MS);
}

/**
 * A bucket's state without instants that nothing written at `nowMs` could name: a clock that was ahead wrote them. A hold
 * lives at the latest for its lease from now. The same object where nothing changes.
 */
export function notAhead(limit: LimitSpec, state: SpentState | HeldState, nowMs: number): SpentState | HeldState {
  const algorithm = algorithmOf(limit);
  if (state.kind !== "held") return algorithm.notAhead(limit, state, nowMs);
  const spent = state.spent && algorithm.notAhead(limit, state.spent, nowMs);
  const aheadMs = state.spent?.kind === "token-bucket" ? Math.max(0, state.spent.baseMs - nowMs) : 0;
  const holds = state.holds.map((hold) => holdNotAhead(hold, aheadMs, nowMs));
  if (spent === state.spent && holds.every((hold, i) => hold === state.holds[i])) return state;
  holds.sort((one, other) => one.expiresAtMs - other.expiresAtMs);
  return { ...state, expiresAtMs: endOfHeld(limit, spent, holds), spent, holds };
}

/** @param aheadMs by how much the level of the bucket is ahead of now: its marks keep their distance to it */
function holdNotAhead(hold: Hold, aheadMs: number, nowMs: number): Hold {
  const latestMs = hold.leaseMs === undefined ? hold.expiresAtMs : nowMs + hold.leaseMs;
  const expiresAtMs = Math.min(hold.expiresAtMs, latestMs);
  const mark = hold.mark && markNotAhead(hold.mark, aheadMs, nowMs);
  return expiresAtMs === hold.expiresAtMs && mark === hold.mark ? hold : { ...hold, expiresAtMs, mark };
}

function markNotAhead(mark: TokenBucketLevel, aheadMs: number, nowMs: number): TokenBucketLevel {
  const baseMs = Math.max(0, mark.baseMs - aheadMs);
  // Nothing is known of when it was booked: nothing of it is given back.
  if (baseMs > nowMs) return { ...mark, baseMs: nowMs, level: 0 };
  return baseMs === mark.baseMs ? mark : { ...mark, baseMs };
}

/** Units that were granted on top of the capacity, and are still there. */
export function grantedIn({ holds }: Contents): number {
  const units = holds.reduce(
    (sum, { expired, onExpiry, units }) => sum + (expired || onExpiry !== "grant" ? 0 : units),
    0,
  );
  return Math.min(units, Number.MAX_SAFE_INTEGER);
}

/** Grants that are still there, the first that ends first. */
export function grantsIn({ holds }: Contents, nowMs: number): { id: string; units: number; endsAfterMs: number }[] {
  const live = holds.filter(({ expired, onExpiry }) => onExpiry === "grant" && !expired);
  return live.map(({ id, units, expiresAtMs }) => ({ id, units, endsAfterMs: expiresAtMs - nowMs }));
}

/** Units that are not free. */
export function usedIn(limit: LimitSpec, { spent, holds }: Contents, nowMs: number): number {
  const spentUnits = algorithmOf(limit).used(limit, spent, nowMs);
  return holds.length === 0 ? spentUnits : Math.min(spentUnits + heldUnits(holds), Number.MAX_SAFE_INTEGER);
}

/**
 * Milliseconds until `units` are free, if nothing else happens than that holds expire and grants end; `Infinity` where
 * they never will be.
 */
export function freeAfterMs(limit: LimitSpec, contents: Contents, units: number, nowMs: number): number {
  const capacity = algorithmOf(limit).capacity(limit);
  const later = draftOf(contents);
  // What others hold takes from the capacity, what is granted adds to it.
  let apart = heldUnits(contents.holds) - grantedIn(contents);
  let atMs = nowMs;
  for (let i = 0; i < later.holds.length; i++) {
    const hold = later.holds[i] as Hold;
    if (hold.expired) continue;
    // Added only where the sum stays below 2^53.
    const isTooMuch = units > capacity - apart;
    const freeAtMs = isTooMuch ? Number.POSITIVE_INFINITY : atMs + waitMs(limit, later.spent, units + apart, atMs);
    if (freeAtMs < hold.expiresAtMs) return freeAtMs - nowMs;
    if (expire(limit, later, i, true)) i--;
    apart -= hold.onExpiry === "grant" ? -hold.units : unitsApart(hold);
    atMs = hold.expiresAtMs;
  }
  if (units > capacity) return Number.POSITIVE_INFINITY;
  return atMs - nowMs + waitMs(limit, later.spent, units, atMs);
}

/**
 * Milliseconds until `units` are free behind all places, whatever becomes of holds; `Infinity` where they never will be, or
 * where there is no room for one more place.
 */
export function turnAfterMs(limit: LimitSpec, { spent, holds }: Contents, units: number, nowMs: number): number {
  const places = holds.flatMap(({ becomes: _, ...hold }) => (hold.onExpiry === "place" ? [hold] : []));
  if (places.length >= MAX_PLACES) return Number.POSITIVE_INFINITY;
  return freeAfterMs(limit, { spent, holds: places }, units, nowMs);
}

/** What is in the bucket after `cost` units were spent. Time that has elapsed needs no cost to begin. */
export function charged(limit: LimitSpec, contents: Contents, cost: number, nowMs: number): Contents {
  if (cost === 0 && algorithmOf(limit).needsCostToBegin) return contents;
  const spent = algorithmOf(limit).book(limit, contents.spent, cost, nowMs);
  return spent === contents.spent ? contents : { ...contents, spent };
}

/** Whether the bucket has seen a value in its life. */
export function isSeen({ spent }: Contents, mark: string | undefined): boolean {
  return mark !== undefined && spent !== undefined && algorithmOfKind(spent.kind).hasSeen(spent, mark);
}

/** What is in the bucket after the units for a value were spent. */
export function marked(after: Contents, mark: string): Contents {
  const { spent } = after;
  const seen = spent && algorithmOfKind(spent.kind).withSeen(spent, mark);
  return seen === spent ? after : { ...after, spent: seen };
}

/** What is in the bucket after an outcome was reported. */
export function afterReport(limit: LimitSpec, contents: Contents, outcome: string | null, nowMs: number): Contents {
  const { spent } = contents;
  const after = algorithmOf(limit).report(limit, spent, outcome, nowMs);
  return after === spent ? contents : { ...contents, spent: after };
}

/**
 * What is in the bucket after units were granted, once for an id: there until the grant or the window ends. A token bucket
 * is filled by them, at most to the brim.
 */
export function granted(
  limit: LimitSpec,
  contents: Contents,
  { id, units, leaseMs }: Omit<NewHold, "onExpiry">,
  nowMs: number,
): Contents {
  if (units === 0 || holdIn(contents, id) !== undefined) return contents;
  const { spent } = contents;
  const expiresAtMs = Math.min(nowMs + leaseMs, algorithmOf(limit).grantEndsAtMs(limit, spent, nowMs));
  const isLevel = limit.algorithm === "token-bucket";
  const grant: Hold = { id, units, expiresAtMs, leaseMs, onExpiry: "grant", expired: isLevel, mark: null };
  const holds = withHold(roomIn(contents.holds), grant);
  return isLevel && spent?.kind === "token-bucket" ? filledUp(limit, spent, holds, units, nowMs) : { spent, holds };
}

/** Whether a hold is what a grant asks for, and is still there. What fills a token bucket ends at once. */
export function isSameGrant(
  { algorithm }: LimitSpec,
  { onExpiry, units, leaseMs, expired }: Hold,
  grant: Omit<NewHold, "onExpiry">,
): boolean {
  const isThere = !expired || algorithm === "token-bucket";
  return onExpiry === "grant" && units === grant.units && leaseMs === grant.leaseMs && isThere;
}

/** What is in the bucket after a live grant ended before its time. It is remembered, so that it is not granted again. */
export function revoked({ spent, holds }: Contents, grant: Hold, nowMs: number): Contents {
  const others = holds.filter((hold) => hold !== grant);
  return { spent, holds: withHold(others, { ...grant, expiresAtMs: nowMs, expired: true }) };
}

/** Fills a token bucket by units, at most to the brim. Everything that was booked on it sinks. */
function filledUp(
  limit: TokenBucketLimit,
  spent: TokenBucketState,
  holds: readonly Hold[],
  units: number,
  nowMs: number,
): Contents {
  const by = returnable(limit, spent, spent, units, nowMs);
  const sunk = holds.map((hold) => (hold.mark === null ? hold : { ...hold, mark: sunkBy(hold.mark, by) }));
  return { spent: lowered(limit, spent, by), holds: sunk };
}

function sunkBy(mark: TokenBucketLevel, by: number): TokenBucketLevel {
  return { ...mark, level: Math.max(0, mark.level - by) };
}

/** What is in the bucket after units were held. */
export function held(limit: LimitSpec, contents: Contents, hold: NewHold, nowMs: number): Contents {
  const { id, units, leaseMs, onExpiry } = hold;
  if (units === 0) return contents;
  const spent = limit.algorithm === "token-bucket" ? charged(limit, contents, units, nowMs).spent : contents.spent;
  const mark = spent?.kind === "token-bucket" ? markOf(spent) : null;
  const made: Hold = { id, units, expiresAtMs: nowMs + leaseMs, leaseMs, onExpiry, expired: false, mark };
  return { spent, holds: withHold(roomIn(contents.holds), made) };
}

/** What is in the bucket after units were held until the call's turn, which is when they are spent. */
export function placed(limit: LimitSpec, contents: Contents, { id, units, atMs }: Place, nowMs: number): Contents {
  if (units === 0 || !algorithmOf(limit).needsCostToBegin) return charged(limit, contents, units, nowMs);
  const waitMs = atMs - nowMs;
  const place: Hold = { id, units, expiresAtMs: atMs, leaseMs: waitMs, onExpiry: "place", expired: false, mark: null };
  return { spent: contents.spent, holds: withHold(roomIn(contents.holds), place) };
}

/**
 * What is in the bucket after units were held for a call that waits until `atMs`: on a token bucket a place that becomes the
 * hold then; elsewhere they are held from now on, and the lease begins then.
 */
export function heldFrom(limit: LimitSpec, contents: Contents, hold: NewHold, atMs: number, nowMs: number): Contents {
  const { id, units, leaseMs, onExpiry } = hold;
  const waitMs = atMs - nowMs;
  if (limit.algorithm !== "token-bucket") return held(limit, contents, { ...hold, leaseMs: waitMs + leaseMs }, nowMs);
  if (units === 0) return contents;
  const place: Hold = {
    id,
    units,
    expiresAtMs: atMs,
    leaseMs: waitMs,
    onExpiry: "place",
    becomes: { onExpiry, leaseMs },
    expired: false,
    mark: null,
  };
  return { spent: contents.spent, holds: withHold(roomIn(contents.holds), place) };
}

/** Holds, without the first of those that expired where there would be no room for one more. */
export function roomIn(holds: readonly Hold[]): readonly Hold[] {
  return holds.length >= MAX_HOLDS && holds[0]?.expired === true ? holds.slice(1) : holds;
}

/** The hold of an id. */
export function holdIn({ holds }: Contents, id: string): Hold | undefined {
  return holds.find((hold) => hold.id === id);
}

/** The grant of an id. */
export function grantIn({ holds }: Contents, id: string): Hold | undefined {
  return holds.find((hold) => hold.id === id && hold.onExpiry === "grant");
}

/**
 * What is in the bucket when a hold ends that took so many units, and how many of those have still to be spent, also past
 * the capacity. Of one that has expired and was charged, only what goes beyond it.
 */
export function ended(
  limit: LimitSpec,
  contents: Contents,
  hold: Hold | undefined,
  actual: number,
  nowMs: number,
): { readonly rest: Contents; readonly unspent: number } {
  if (hold === undefined) return { rest: contents, unspent: actual };
  const isSpent = hold.expired ? hold.onExpiry === "charge" : hold.mark !== null;
  const draft = draftOf({ spent: contents.spent, holds: contents.holds.filter(({ id }) => id !== hold.id) });
  if (!hold.expired && hold.mark !== null) {
    giveBack(limit, draft, hold.mark, Math.max(0, hold.units - actual), nowMs, null);
  }
  const rest = { spent: draft.spent, holds: holdsOf(draft) };
  return { rest, unspent: isSpent ? Math.max(0, actual - hold.units) : actual };
}

/** What is in the bucket after a live hold was given `leaseMs` from now, unless it has longer. A place keeps its turn. */
export function extended({ spent, holds }: Contents, hold: Hold, leaseMs: number, nowMs: number): Contents {
  const others = holds.filter(({ id }) => id !== hold.id);
  if (hold.becomes !== undefined) {
    const becomes = { ...hold.becomes, leaseMs: Math.max(hold.becomes.leaseMs, nowMs + leaseMs - hold.expiresAtMs) };
    return { spent, holds: withHold(others, { ...hold, becomes }) };
  }
  const expiresAtMs = Math.max(hold.expiresAtMs, nowMs + leaseMs);
  const longest = hold.leaseMs === undefined ? {} : { leaseMs: Math.max(hold.leaseMs, leaseMs) };
  return { spent, holds: withHold(others, { ...hold, ...longest, expiresAtMs }) };
}

/** Contents that the functions of this file are still at work on. */
interface Draft {
  spent: SpentState | undefined;
  holds: readonly Hold[];
  /** The same holds in a list of this draft's own, once a place has become one. */
  begun: Hold[] | null;
  /** The marks of the holds, once one has sunk. */
  marks: Marks | null;
}

/** Instants and levels of all marks, -1 where a hold has none. They are numbers alone: each hold may sink each other one. */
interface Marks {
  readonly bases: number[];
  readonly levels: number[];
  /** Whether each mark that may still sink is above the one before it: then `sunk` says for all of them by how much. */
  isRising: boolean;
  sunk: number;
}

function draftOf({ spent, holds }: Contents): Draft {
  return { spent, holds, begun: null, marks: null };
}

/** The holds with their marks as they stand. */
function holdsOf({ holds, marks }: Draft): readonly Hold[] {
  if (marks === null) return holds;
  return holds.map((hold, i) => {
    const level = marks.levels[i] as number;
    return hold.mark === null || hold.mark.level === level ? hold : { ...hold, mark: { ...hold.mark, level } };
  });
}

/**
 * Lets a hold expire, at the instant of its end.
 *
 * @param isThought whether that is only thought of: then no mark matters but of holds that are still to come
 * @returns whether it is not in its place any more: it has become a hold that ends later
 */
function expire(limit: LimitSpec, draft: Draft, i: number, isThought: boolean): boolean {
  const { expiresAtMs: atMs, onExpiry, units, mark: held, becomes } = draft.holds[i] as Hold;
  draft.spent = liveAt(draft.spent, atMs);
  if (held === null) {
    if (onExpiry === "charge" || onExpiry === "place")
      draft.spent = algorithmOf(limit).book(limit, draft.spent, units, atMs);
    // What becomes of a hold that is charged when it ends is not thought of: its units are spent already.
    if (becomes === undefined || (isThought && becomes.onExpiry === "charge")) return false;
    begin(draft, i, becomes);
    return true;
  }
  if (onExpiry !== "refund") return false;
  const { marks } = draft;
  const mark = marks === null ? held : { ...held, level: Math.max(0, (marks.levels[i] as number) - marks.sunk) };
  giveBack(limit, draft, mark, units, atMs, isThought ? i + 1 : null);
  return false;
}

/** Makes a place whose turn has come, and whose units have just been spent, the hold that it was taken for. */
function begin(draft: Draft, i: number, { onExpiry, leaseMs }: NonNullable<Hold["becomes"]>): void {
  const { id, units, expiresAtMs: atMs } = draft.holds[i] as Hold;
  const expiresAtMs = atMs + leaseMs;
  const mark = draft.spent?.kind === "token-bucket" ? markOf(draft.spent) : null;
  draft.begun ??= [...draft.holds];
  draft.holds = draft.begun;
  const { begun: holds, marks } = draft;
  if (marks !== null) {
    // Its mark is above all others, whose holds may end later.
    marks.isRising = false;
    for (const [n, level] of marks.levels.entries()) marks.levels[n] = Math.max(0, level - marks.sunk);
    marks.sunk = 0;
  }
  let at = i;
  // Those that end no later move up. With hundreds of places, to make new lists each time would take too long.
  for (; (holds[at + 1]?.expiresAtMs ?? Number.POSITIVE_INFINITY) <= expiresAtMs; at++) {
    holds[at] = holds[at + 1] as Hold;
    if (marks === null) continue;
    marks.bases[at] = marks.bases[at + 1] as number;
    marks.levels[at] = marks.levels[at + 1] as number;
  }
  holds[at] = { id, units, expiresAtMs, leaseMs, onExpiry, expired: false, mark };
  if (marks === null) return;
  marks.bases[at] = mark?.baseMs ?? -1;
  marks.levels[at] = mark?.level ?? -1;
}

/**
 * Gives units of a hold back to a token bucket. What was booked on top of it sinks with it.
 *
 * @param first where those holds begin that are still to come; `null` where all marks matter
 */
function giveBack(
  limit: LimitSpec,
  draft: Draft,
  mark: TokenBucketLevel,
  units: number,
  nowMs: number,
  first: number | null,
): void {
  if (limit.algorithm !== "token-bucket" || draft.spent?.kind !== "token-bucket") return;
  const by = returnable(limit, draft.spent, mark, units, nowMs);
  // A state of another unit stays as it is, its end too.
  if (by === 0) return;
  draft.spent = lowered(limit, draft.spent, by);
  draft.marks ??= marksOf(draft.holds, mark, first);
  const { bases, levels, isRising } = draft.marks;
  if (isRising) {
    draft.marks.sunk += by;
    return;
  }
  for (let i = first ?? 0; i < levels.length; i++) {
    const [base, level] = [bases[i] as number, levels[i] as number];
    if (base > mark.baseMs || (base === mark.baseMs && level > mark.level)) levels[i] = Math.max(0, level - by);
  }
}

function marksOf(holds: readonly Hold[], given: TokenBucketLevel, first: number | null): Marks {
  let isRising = first !== null;
  let last = given;
  for (const { mark, expired, onExpiry } of holds.slice(first ?? 0)) {
    if (mark === null || expired || onExpiry !== "refund") continue;
    isRising &&= isAbove(mark, last);
    last = mark;
  }
  const bases = holds.map(({ mark }) => mark?.baseMs ?? -1);
  const levels = holds.map(({ mark }) => mark?.level ?? -1);
  return { bases, levels, isRising, sunk: 0 };
}

function isAbove(mark: TokenBucketLevel, other: TokenBucketLevel): boolean {
  return mark.baseMs > other.baseMs || (mark.baseMs === other.baseMs && mark.level > other.level);
}

function markOf({ baseMs, level, levelPerUnit }: TokenBucketState): TokenBucketLevel {
  return { baseMs, level, levelPerUnit };
}

/** Units that a hold keeps from others beside what is spent. */
function unitsApart({ units, expired, mark, onExpiry }: Hold): number {
  return expired || mark !== null || onExpiry === "grant" ? 0 : units;
}

function heldUnits(holds: readonly Hold[]): number {
  return holds.reduce((sum, hold) => sum + unitsApart(hold), 0);
}

/** Holds with one more, by the end of each; of equal ends the earlier one first. */
export function withHold(holds: readonly Hold[], hold: Hold): readonly Hold[] {
  const later = holds.findIndex(({ expiresAtMs }) => expiresAtMs > hold.expiresAtMs);
  return later === -1 ? [...holds, hold] : [...holds.slice(0, later), hold, ...holds.slice(later)];
}

/** What is spent, unless it has ended. */
export function liveAt(spent: SpentState | undefined, nowMs: number): SpentState | undefined {
  return spent !== undefined && nowMs < spent.expiresAtMs ? spent : undefined;
}

/** At the latest when the state ends: one that another window or rate wrote may end before its units come back by this. */
function waitMs(limit: LimitSpec, spent: SpentState | undefined, units: number, nowMs: number): number {
  if (spent === undefined) return 0;
  return Math.min(algorithmOf(limit).freeAfterMs(limit, spent, units, nowMs), spent.expiresAtMs - nowMs);
}
