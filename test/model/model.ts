// What every store answers, by the rules alone: requests of several steps, which are booked all or none, and answers that are
// given again. Plain and slow, and independent of the kernel, so that it shows mistakes which every store shares.

import assert from "node:assert/strict";
import type { Step, StepReply, StoreReply, StoreRequest } from "../../src/kernel/request.ts";
import {
  type Bucket,
  bucketOf,
  capacityOf,
  copyOf,
  grantedIn,
  grantsIn,
  isFirm,
  isFreeAt,
  pass,
  REMEMBERED_MS,
  takeBack,
  usedIn,
} from "./bucket.ts";
import { bookStep, endEarly, fits, foundBy, neededBy, type Turn, turnAfterMs } from "./steps.ts";

interface Answer {
  readonly reply: StoreReply;
  readonly request: StoreRequest;
  readonly endMs: number;
  isTold: boolean;
}

/** A step, its bucket before it, and whether it may be booked. */
interface Judged {
  readonly step: Step;
  readonly bucket: Bucket;
  readonly fits: boolean;
  readonly found: StepReply["found"];
  /** 0 where it does not wait. */
  readonly waitMs: number;
}

/** Most instants that are looked at before the one that a reply names. */
const LOOKS = 12;

export class Model {
  readonly #buckets = new Map<string, Bucket>();
  readonly #answers = new Map<string, Answer>();

  /** A bucket at an instant. */
  bucket(step: Step, nowMs: number): Bucket {
    const bucket = this.#buckets.get(step.bucket) ?? bucketOf(step.limit);
    pass(bucket, nowMs);
    return bucket;
  }

  /** Does what a request asks for, and checks everything in the reply to it. */
  check(request: StoreRequest, nowMs: number, reply: StoreReply): void {
    const { mode, steps, once } = request;
    const answer = once === undefined || mode === "peek" ? undefined : this.#answers.get(once.key);
    const isStale = steps.some(({ limit }) => hasNoWindow(limit, nowMs));
    if (mode === "undo") this.#undo(request, answer, nowMs, reply);
    else if (answer !== undefined && nowMs < answer.endMs) assert.deepEqual(reply, replayOf(answer));
    else if (isStale) assert.deepEqual(reply, { allowed: false, stale: true, nowMs, steps: [] });
    else this.#decide(request, nowMs, reply);
  }

  #decide(request: StoreRequest, nowMs: number, reply: StoreReply): void {
    const { mode, steps, once, wait } = request;
    const judged = steps.map((step) => this.#judged(step, request, nowMs));
    const allowed = judged.every(({ step, fits, waitMs }) => fits || waitMs > 0 || step.shadow === true);
    const isBooked = allowed || mode === "force";
    const waitMs = allowed ? Math.max(0, ...judged.map((each) => each.waitMs)) : 0;
    const turn = waitMs === 0 ? null : { id: wait?.id ?? "", atMs: nowMs + waitMs };
    const isFirm = !isBooked && judged.every(isFirmly);
    assert.deepEqual(
      { ...reply, steps: [] },
      { allowed, nowMs, ...(turn === null ? {} : { waitMs }), ...(isFirm ? { firm: true } : {}), steps: [] },
    );
    for (const [i, each] of judged.entries()) {
      const after = isBooked ? bookedOn(each, turn, request, nowMs) : each.bucket;
      const fits = each.fits || (turn !== null && each.waitMs > 0);
      checkStep(reply.steps[i] ?? assert.fail(), { ...each, fits }, after, nowMs);
      if (isBooked && mode !== "peek") this.#buckets.set(each.step.bucket, after);
    }
    if (!isBooked || mode === "peek" || once === undefined) return;
    this.#answers.set(once.key, { reply, request, endMs: nowMs + waitMs + REMEMBERED_MS, isTold: false });
  }

  #judged(step: Step, { wait }: StoreRequest, nowMs: number): Judged {
    const bucket = this.bucket(step, nowMs);
    const judged = { step, bucket, fits: fits(bucket, step.event, nowMs), found: foundBy(bucket, step.event) };
    if (judged.fits || wait === undefined) return { ...judged, waitMs: 0 };
    return { ...judged, waitMs: turnAfterMs(bucket, step, wait.maxMs, nowMs) ?? 0 };
  }

  /** An answer that was given again since then stays, and so does what it booked. */
  #undo({ steps, once, wait, atMs = 0 }: StoreRequest, answer: Answer | undefined, nowMs: number, reply: StoreReply) {
    const isOwn = answer !== undefined && answer.reply.nowMs <= atMs && answer.request.once?.request === once?.request;
    const isKept = isOwn && answer.isTold;
    assert.equal(reply.allowed, !isKept);
    for (const [i, step] of steps.entries()) {
      const bucket = this.bucket(step, nowMs);
      const after = copyOf(bucket);
      if (!isKept) undoStep(after, step, wait?.id, atMs, nowMs);
      const judged = { step, bucket, fits: true, found: undefined, waitMs: 0 };
      checkStep(reply.steps[i] ?? assert.fail(), judged, after, nowMs);
      this.#buckets.set(step.bucket, after);
    }
    if (once !== undefined && isOwn && !isKept) this.#answers.delete(once.key);
  }
}

function bookedOn({ step, bucket }: Judged, turn: Turn | null, request: StoreRequest, nowMs: number): Bucket {
  const after = copyOf(bucket);
  const atMs = request.atMs === undefined ? nowMs : (step.atMs ?? request.atMs);
  bookStep(after, step.event, turn, atMs, nowMs);
  return after;
}

function undoStep(bucket: Bucket, { event }: Step, waitId: string | undefined, atMs: number, nowMs: number): void {
  const id = event.type === "hold" ? event.id : waitId;
  const lying = bucket.lying.find((each) => each.id === id);
  if (lying !== undefined) endEarly(bucket, lying, 0);
  else if (event.type === "charge" && event.seen === undefined) takeBack(bucket, event.cost, atMs, nowMs);
}

function replayOf(answer: Answer): StoreReply {
  const { reply, request } = answer;
  answer.isTold = true;
  const units = request.steps.map(({ event }) => {
    if (event.type === "charge") return event.cost;
    return "units" in event ? event.units : 0;
  });
  const held = request.steps.find(({ event }) => event.type === "hold")?.event;
  const { allowed, nowMs, waitMs, steps } = reply;
  return {
    allowed,
    nowMs,
    ...(waitMs === undefined ? {} : { waitMs }),
    steps: steps.map(({ grants: _, ...step }) => step),
    replay: { request: request.once?.request ?? "", hold: held?.type === "hold" ? held.id : null, units },
  };
}

/** Whether an instant is in none of the windows that a calendar names. */
function hasNoWindow(limit: Step["limit"], nowMs: number): boolean {
  if (limit.algorithm !== "fixed-window" || limit.align !== "calendar") return false;
  return nowMs < limit.boundaries[0] || nowMs >= limit.boundaries[2];
}

function isFirmly({ step, bucket, fits }: Judged): boolean {
  return fits || step.shadow === true || (bucket.lying.length === 0 && isFirm(bucket));
}

function checkStep(reply: StepReply, { step, bucket, fits, found }: Judged, after: Bucket, nowMs: number): void {
  const { event } = step;
  const shown = event.type === "reset" ? bucket : after;
  assert.equal(reply.allowed, fits);
  assert.equal(reply.used, usedIn(shown, nowMs));
  assert.equal(reply.granted ?? 0, grantedIn(shown));
  assert.equal(reply.found, found);
  const lists = ["read", "reset", "grant", "revoke"].includes(event.type);
  const grants = grantsIn(shown).map(({ id, units, endMs }) => ({ id, units, endsInMs: endMs - nowMs }));
  assert.deepEqual(reply.grants ?? [], lists ? grants : []);
  checkFreeAfter(shown, capacityOf(shown), reply.resetAfterMs, nowMs);
  const isNever = event.type === "extend" || shown.limit.algorithm === "elapsed";
  if (fits || isNever) assert.equal(reply.retryAfterMs, fits ? 0 : null);
  else checkFreeAfter(shown, neededBy(event) ?? 0, reply.retryAfterMs, nowMs);
}

/** Checks that units are free at the instant that is named, and not at one before; `null` says that they never will be. */
function checkFreeAfter(bucket: Bucket, units: number, afterMs: number | null, nowMs: number): void {
  const lastEndMs = Math.max(nowMs, ...bucket.lying.map(({ endMs }) => endMs));
  const untilMs = afterMs ?? lastEndMs - nowMs + 1_000_000;
  if (afterMs === null) assert.ok(units > capacityOf(bucket));
  else assert.ok(isFreeAt(bucket, units, nowMs + afterMs), `not free after ${afterMs} ms`);
  const stepMs = Math.max(1, Math.floor(untilMs / LOOKS));
  for (let ms = untilMs - 1; ms >= 0; ms -= stepMs) {
    assert.ok(!isFreeAt(bucket, units, nowMs + ms), `free after ${ms} ms already, not only after ${afterMs}`);
  }
}
