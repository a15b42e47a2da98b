// The decision itself: states in, a reply and states out. Memory and SQLite run it; every other store must equal it.
// It knows no call, no policy and no clock: a request names buckets, limits and costs, and the store names the time.

import { algorithmOf } from "./algorithms/registry.ts";
import { notAhead } from "./bucket/ahead.ts";
import {
  afterReport,
  type Contents,
  charged,
  contentsAt,
  entryIn,
  isSeen,
  isStopped,
  ownState,
  stateOf,
  usedIn,
  withSeen,
} from "./bucket/contents.ts";
import { isLive, MAX_ENTRIES } from "./bucket/entries.ts";
import { freeAfterMs } from "./bucket/free-after.ts";
import { granted, grantedIn, grantIn, grantsIn, isSameGrant, revoked } from "./bucket/grants.ts";
import { chargedLate, raised, takenBack } from "./bucket/late.ts";
import { onceNotAhead, onceOf, replayOf } from "./bucket/once.ts";
import { heldFrom, queued, type Turn, turnAfterMs } from "./bucket/queue.ts";
import { ended, extended, held } from "./bucket/reservations.ts";
import { decidePlain, unitsFor } from "./decide-fast.ts";
import { LISTING, NAMING, type Step, type StepEvent, type StepReply, type StoreRequest, type Wait } from "./request.ts";
import type { Entry, OnceState, Outcome, States, StoredState } from "./state.ts";

/** The keys that a request reads and writes: its buckets in the order of its steps, then that of its answer. */
export function keysOf({ mode, steps, once }: StoreRequest): string[] {
  const keys = steps.map(({ bucket }) => bucket);
  if (once !== undefined && mode !== "peek") keys.push(once.key);
  return keys;
}

const NEVER = Number.POSITIVE_INFINITY;
/** What a reset leaves: never the contents that were found, so that it is written. */
const EMPTIED: Contents = { spent: undefined, entries: [] };

/**
 * Decides one request.
 *
 * @param request what is asked
 * @param states what the store holds for each of the request's keys, in the order of `keysOf`; expired states are fine
 * @param nowMs the store's time, an integer, read once for all requests of a batch
 */
export function decide(request: StoreRequest, states: States, nowMs: number): Outcome {
  const plain = decidePlain(request, states, nowMs);
  if (plain !== null) return plain;
  const corrected = correctedAt(request, states, nowMs);
  const outcome = decideAny(request, corrected, nowMs);
  const { reply, next } = outcome;
  const writesNoMore = next !== null || request.mode === "peek" || reply === null || reply.stale === true;
  // A denial, too, writes what it corrected: else each request would correct the bucket again, and it would never expire.
  return corrected === states || writesNoMore ? outcome : { reply, next: corrected };
}

/** The states as far as a right clock can have written them; the same list where nothing changes. */
function correctedAt(request: StoreRequest, states: States, nowMs: number): States {
  const { steps } = request;
  const answer = keptAnswer(request, states, nowMs);
  if (answer !== undefined) {
    // The request is answered without its buckets.
    const right = onceNotAhead(answer, nowMs);
    return right === answer ? states : states.with(steps.length, right);
  }
  let corrected: (StoredState | undefined)[] | null = null;
  for (let i = 0; i < steps.length; i++) {
    const { limit } = steps[i] as Step;
    const own = ownState(limit, states[i], nowMs);
    if (own === undefined) continue;
    const right = notAhead(limit, own, nowMs);
    if (right === own) continue;
    corrected ??= [...states];
    corrected[i] = right;
  }
  return corrected ?? states;
}

/** The kept answer for a request, unless that is to be undone. */
export function keptAnswer({ mode, steps }: StoreRequest, states: States, nowMs: number): OnceState | undefined {
  // The last key is that of the answer (`keysOf`).
  const answer = states[steps.length];
  return mode !== "undo" && answer?.kind === "once" && nowMs < answer.expiresAtMs ? answer : undefined;
}

/** Decides any request: what the fast path answers, it answers the same. */
export function decideAny(request: StoreRequest, states: States, nowMs: number): Outcome {
  const { mode, steps, once, wait, atMs } = request;
  if (mode === "undo") return undone(request, states, nowMs);
  const answer = keptAnswer(request, states, nowMs);
  if (answer !== undefined) {
    const next = answer.isTold ? null : [...states.slice(0, steps.length), { ...answer, isTold: true }];
    return { reply: replayOf(answer), next };
  }
  if (steps.some(({ limit }) => algorithmOf(limit).isStale?.(limit, nowMs) === true)) {
    return { reply: { allowed: false, stale: true, nowMs, steps: [] }, next: null };
  }
  const judged = steps.map((step, i) => judge(step, contentsAt(step.limit, states[i], nowMs), wait, nowMs));
  const allowed = judged.every(({ step, fits, waitMs }) => fits || waitMs > 0 || step.shadow === true);
  // Of a peek: its reply says how the buckets would stand, and nothing is written.
  const isBooked = allowed || mode === "force";
  const turn = allowed && wait !== undefined ? turnOf(wait, judged, nowMs) : null;
  const done = judged.map((each) => ({
    ...each,
    fits: each.fits || (turn !== null && each.waitMs > 0),
    after: isBooked ? booked(each, turn, atMs, nowMs) : each.before,
  }));
  if (done.some(({ after }) => after.entries.length > MAX_ENTRIES)) return { reply: null, next: null };
  const reply = {
    allowed,
    nowMs,
    ...(turn === null ? {} : { waitMs: turn.atMs - nowMs }),
    ...(isBooked || !judged.every(isFirm) ? {} : { firm: true as const }),
    steps: done.map((each) => stepReply(each, nowMs)),
  };
  if (!isBooked || mode === "peek") return { reply, next: null };
  const next = statesAfter(done, states, nowMs);
  if (once !== undefined) return { reply, next: [...next, onceOf(request, once.request, reply)] };
  return { reply, next: changedFrom(states, next) };
}

/** What each bucket holds from now on. One that is not booked on stays as it is, also where its state is of another algorithm. */
function statesAfter(done: readonly Done[], states: States, nowMs: number): (StoredState | undefined)[] {
  return done.map(({ step, before, after }, i) => (after === before ? states[i] : stateOf(step.limit, after, nowMs)));
}

function changedFrom(states: States, next: States): States | null {
  return next.some((state, i) => state !== states[i]) ? next : null;
}

/** A step, what its bucket holds, and whether it may be booked. */
interface Judged {
  readonly step: Step;
  readonly before: Contents;
  readonly fits: boolean;
  /**
   * Until its turn in the queue. 0 when it does not wait: it fits, it has no queue, its turn is too late, or only holds are in
   * its way, which may end at any time.
   */
  readonly waitMs: number;
  /** The entry that the event names: a hold, a queued call or a grant. */
  readonly entry: Entry | undefined;
}

interface Done extends Judged {
  readonly after: Contents;
}

function judge(step: Step, before: Contents, wait: Wait | undefined, nowMs: number): Judged {
  const { event } = step;
  const entry = namedIn(before, event);
  const fits = stepFits(step, before, entry, nowMs);
  if (fits || wait === undefined) return { step, before, fits, waitMs: 0, entry };
  const waitMs = waitFor(step, before, nowMs);
  return { step, before, fits, waitMs: waitMs > wait.maxMs ? 0 : waitMs, entry };
}

function namedIn(contents: Contents, event: StepEvent): Entry | undefined {
  if (event.type === "settle" || event.type === "extend" || event.type === "grant") return entryIn(contents, event.id);
  return event.type === "revoke" ? grantIn(contents, event.id) : undefined;
}

/** Whether a step denies nothing, or denies until time has passed. */
function isFirm({ step: { limit, shadow }, before, fits }: Judged): boolean {
  return fits || shadow === true || (before.entries.length === 0 && algorithmOf(limit).isFirm);
}

/** When all steps of a request have their turn; `null` when it need not wait. */
function turnOf({ id }: Wait, judged: readonly Judged[], nowMs: number): Turn | null {
  const waitMs = Math.max(0, ...judged.map((each) => each.waitMs));
  return waitMs === 0 ? null : { id, atMs: nowMs + waitMs };
}

/** Milliseconds until a step's turn in the queue of its bucket; `Infinity` where it does not wait. */
function waitFor({ limit, event, shadow }: Step, before: Contents, nowMs: number): number {
  const { queues, flow } = algorithmOf(limit);
  // Only in a bucket that flows is a hold spent when it is made, so that time alone brings its turn.
  const isWaitable = event.type === "charge" || (event.type === "hold" && flow !== undefined);
  if (!queues || !isWaitable || shadow === true) return NEVER;
  return turnAfterMs(limit, before, unitsNeeded(event), nowMs);
}

function stepFits({ limit, event }: Step, before: Contents, entry: Entry | undefined, nowMs: number): boolean {
  if (event.type === "extend") return entry !== undefined && isLive(entry);
  if (event.type === "charge" && !isStopped(limit) && isSeen(limit, before, event.seen)) return true;
  // Grants lower the need and do not raise the capacity, so that no sum passes 2^53.
  const needed = unitsNeeded(event) - grantedIn(limit, before);
  return needed <= algorithmOf(limit).capacity(limit) - usedIn(limit, before, nowMs);
}

function unitsNeeded(event: StepEvent): number {
  if (event.type === "charge") return unitsFor(event.cost);
  // The other events are never denied.
  return event.type === "hold" ? unitsFor(event.units) : Number.NEGATIVE_INFINITY;
}

function booked(judged: Judged, turn: Turn | null, requestAtMs: number | undefined, nowMs: number): Contents {
  const { before, entry } = judged;
  const { limit, event } = judged.step;
  const atMs = requestAtMs === undefined ? undefined : (judged.step.atMs ?? requestAtMs);
  const spend = (contents: Contents, units: number) =>
    atMs === undefined ? charged(limit, contents, units, nowMs) : chargedLate(limit, contents, units, atMs, nowMs);
  switch (event.type) {
    case "charge":
      if (isSeen(limit, before, event.seen)) return before;
      if (event.seen !== undefined) {
        const after = spend(before, event.cost);
        // What belongs to a window that is over was not seen in this one.
        return after === before && atMs !== undefined ? before : withSeen(limit, after, event.seen);
      }
      return turn === null ? spend(before, event.cost) : queued(limit, before, event.cost, turn, nowMs);
    case "report":
      return afterReport(limit, before, event.outcome, nowMs);
    case "grant":
      return granted(limit, before, event, nowMs);
    case "revoke":
      return entry?.kind === "grant" && isLive(entry) ? revoked(before, entry, nowMs) : before;
    case "hold":
      return turn === null ? held(limit, before, event, nowMs) : heldFrom(limit, before, event, turn.atMs, nowMs);
    case "settle": {
      const { rest, unspent } = ended(limit, before, entry, event.units, nowMs);
      return spend(rest, unspent);
    }
    case "extend":
      // A forced one cannot bring back what has ended.
      return entry !== undefined && isLive(entry) ? extended(before, entry, event.leaseMs, nowMs) : before;
    case "raise":
      return raised(limit, before, event, nowMs);
    case "read":
      return before;
    case "reset":
      return EMPTIED;
  }
}

/** Takes back what a request booked whose sender never got the answer. An answer that was given again since then stays. */
function undone({ steps, once, wait, atMs = 0 }: StoreRequest, states: States, nowMs: number): Outcome {
  const answer = states[steps.length];
  const isOurs = answer?.kind === "once" && answer.nowMs === atMs && answer.request === once?.request;
  const isTold = isOurs && answer.isTold;
  const done = steps.map((step, i): Done => {
    const before = contentsAt(step.limit, states[i], nowMs);
    const after = isTold ? before : withoutBooking(step, before, wait, atMs, nowMs);
    return { step, before, fits: true, waitMs: 0, entry: undefined, after };
  });
  const next = statesAfter(done, states, nowMs);
  if (once !== undefined) next.push(isOurs && !isTold ? undefined : answer);
  const reply = { allowed: true, nowMs, steps: done.map((each) => stepReply(each, nowMs)) };
  return { reply, next: changedFrom(states, next) };
}

function withoutBooking(step: Step, before: Contents, wait: Wait | undefined, atMs: number, nowMs: number): Contents {
  const { limit, event } = step;
  const id = event.type === "hold" ? event.id : wait?.id;
  const entry = id === undefined ? undefined : entryIn(before, id);
  if (entry !== undefined) return ended(limit, before, entry, 0, nowMs).rest;
  if (event.type !== "charge" || event.seen !== undefined) return before;
  return takenBack(limit, before, event.cost, atMs, nowMs);
}

function stepReply({ step: { limit, event }, before, fits, entry, after }: Done, nowMs: number): StepReply {
  const algorithm = algorithmOf(limit);
  const shown = event.type === "reset" ? before : after;
  const extra = grantedIn(limit, shown);
  const grants = LISTING.has(event.type) ? grantsIn(shown, nowMs) : [];
  const neverFits = event.type === "extend" || !algorithm.comesBack;
  const waitMs = fits ? 0 : neverFits ? NEVER : freeAfterMs(limit, shown, unitsNeeded(event), nowMs);
  const reply = {
    allowed: fits,
    used: usedIn(limit, shown, nowMs),
    ...(extra === 0 ? {} : { granted: extra }),
    ...(grants.length === 0 ? {} : { grants }),
    resetAfterMs: freeAfterMs(limit, shown, algorithm.capacity(limit), nowMs),
    retryAfterMs: waitMs === NEVER ? null : waitMs,
  };
  if (!NAMING.has(event.type)) return reply;
  if (entry === undefined) return { ...reply, found: "unknown" };
  const isFound = event.type === "grant" ? isSameGrant(limit, entry, event) : isLive(entry);
  return { ...reply, found: isFound ? "live" : "late" };
}
