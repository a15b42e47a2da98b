// Random schedules of batches on terms: numbered, sent again, closed, undone; what was admitted earlier; use that was lost
// and is given back. Under every algorithm, with a clock that is set back now and then.

import fc from "fast-check";
import type { LimitSpec, Step, StepEvent, StoreRequest, Terms } from "tollgate/store";
import { NOW_MS } from "./redis-pair.ts";

const MAX = Number.MAX_SAFE_INTEGER;
const MARKS = ["00000000000000aa", "00000000000000ab", "00000000000000ac"];

const few = fc.constantFrom(0, 1, 1, 1, 2, 2, 3, 5, MAX);
const leaseMs = fc.constantFrom(1, 30, 100, 400, 700_000);
const id = fc.constantFrom("a", "b-_9");
const pastMs = fc.constantFrom(0, 0, 1, 5, 10, 37, 60, 100, 250, 1_000, NOW_MS, -7);

/** What a bucket may be asked, with how long ago it was. */
function eventOf(limit: LimitSpec): fc.Arbitrary<(nowMs: number) => StepEvent> {
  const plain = (arbitrary: fc.Arbitrary<StepEvent>) => arbitrary.map((event) => () => event);
  const charge = plain(fc.record({ type: fc.constant("charge" as const), cost: few }));
  const count = plain(fc.record({ type: fc.constant("charge" as const), cost: few, seen: fc.constantFrom(...MARKS) }));
  const raise = fc
    .record({
      id: fc.constantFrom("i-1", "i-2", "a"),
      units: few,
      agoMs: pastMs,
      keptMs: fc.constantFrom(1, 100, 900_000),
      lost: fc.constantFrom<("all" | "some")[]>("all", "some"),
    })
    .map(({ agoMs, ...rest }) => {
      return (nowMs: number): StepEvent => ({ type: "raise", ...rest, atMs: nowMs - agoMs });
    });
  const common = [
    { weight: 8, arbitrary: charge },
    { weight: 3, arbitrary: count },
    { weight: 3, arbitrary: raise },
    { weight: 1, arbitrary: plain(fc.constant({ type: "read" })) },
    { weight: 1, arbitrary: plain(fc.constant({ type: "reset" })) },
  ];
  if (limit.algorithm === "streak") {
    const outcome = fc.constantFrom("x", "x", "y", null);
    const report = plain(fc.record({ type: fc.constant("report" as const), outcome }));
    return fc.oneof(...common, { weight: 5, arbitrary: report });
  }
  const onExpiry = fc.constantFrom<("charge" | "refund")[]>("charge", "refund");
  return fc.oneof(
    ...common,
    {
      weight: 5,
      arbitrary: plain(fc.record({ type: fc.constant("hold" as const), id, units: few, leaseMs, onExpiry })),
    },
    { weight: 4, arbitrary: plain(fc.record({ type: fc.constant("settle" as const), id, units: few })) },
    { weight: 1, arbitrary: plain(fc.record({ type: fc.constant("extend" as const), id, leaseMs })) },
    {
      weight: 1,
      arbitrary: plain(fc.record({ type: fc.constant("grant" as const), id: fc.constant("g"), units: few, leaseMs })),
    },
    { weight: 1, arbitrary: plain(fc.record({ type: fc.constant("revoke" as const), id: fc.constant("g") })) },
  );
}

const capacity = fc.constantFrom(0, 3, 5, 12, 40, MAX);
const lengthMs = fc.constantFrom(10, 37, 100, 400, 1_000_000);
const limit: fc.Arbitrary<LimitSpec> = fc.oneof(
  fc.record({
    algorithm: fc.constant("budget" as const),
    quota: capacity,
    ttlMs: lengthMs,
    ttlFrom: fc.constantFrom<("first" | "last")[]>("first", "last"),
  }),
  fc.record({
    algorithm: fc.constant("fixed-window" as const),
    quota: capacity,
    windowMs: lengthMs,
    align: fc.constantFrom<("epoch" | "first-use")[]>("epoch", "first-use"),
  }),
  fc.tuple(capacity, lengthMs, lengthMs, fc.constantFrom(0, 1, 60)).map(([quota, one, other, ago]): LimitSpec => {
    const startMs = NOW_MS - ago;
    const boundaries = [startMs, startMs + one, startMs + one + other] as const;
    return { algorithm: "fixed-window", quota, align: "calendar", boundaries };
  }),
  fc.record({ algorithm: fc.constant("sliding-window" as const), quota: capacity, windowMs: lengthMs }),
  fc.record({
    algorithm: fc.constant("token-bucket" as const),
    burst: fc.constantFrom(1, 5, 12, 40),
    levelPerUnit: fc.constantFrom(1, 7, 10, 400),
    levelPerMs: fc.constantFrom(1, 3),
  }),
  fc.record({ algorithm: fc.constant("concurrency" as const), quota: fc.constantFrom(0, 1, 3, 12) }),
  fc.record({ algorithm: fc.constant("elapsed" as const), quota: capacity, ttlMs: lengthMs }),
  fc.record({ algorithm: fc.constant("streak" as const), quota: fc.constantFrom(1, 2, 3), ttlMs: lengthMs }),
  fc.record({ algorithm: fc.constant("cooldown" as const), quota: fc.constantFrom(0, 1, 1, MAX), pauseMs: lengthMs }),
);

/** The limit as another version of a policy may have it. */
function changed(limit: LimitSpec): LimitSpec {
  switch (limit.algorithm) {
    case "budget":
    case "elapsed":
    case "streak":
      return { ...limit, ttlMs: limit.ttlMs + 13 };
    case "token-bucket":
      return { ...limit, levelPerMs: limit.levelPerMs + 1, levelPerUnit: 10 };
    case "fixed-window":
      return limit.align === "calendar" ? limit : { ...limit, windowMs: limit.windowMs + 23 };
    case "sliding-window":
      return { ...limit, windowMs: limit.windowMs + 23 };
    case "concurrency":
      return { ...limit, quota: 2 };
    case "cooldown":
      return { ...limit, pauseMs: limit.pauseMs + 17 };
  }
}

/** Makes something of the instant at which it is sent. */
type At<Value> = (nowMs: number) => Value;

const noneOr = <Value>(arbitrary: fc.Arbitrary<Value>, weight: number) =>
  fc.oneof({ weight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

function stepOf(limits: readonly LimitSpec[]): fc.Arbitrary<At<Step>> {
  const ownMs = noneOr(fc.oneof(pastMs, fc.constantFrom(-1, -50)), 4);
  const drawing = fc.record({ bucket: fc.nat(limits.length - 1), isOther: fc.nat(9), isShadow: fc.nat(9), ownMs });
  return drawing.chain((drawn) => {
    const first = limits[drawn.bucket] as LimitSpec;
    const limit = drawn.isOther === 0 ? changed(first) : first;
    const shadow = drawn.isShadow === 0 ? { shadow: true } : {};
    return eventOf(limit).map((event) => (nowMs: number) => {
      const own = drawn.ownMs === undefined ? {} : { atMs: nowMs - drawn.ownMs };
      return { bucket: `b${drawn.bucket}`, limit, event: event(nowMs), ...shadow, ...own };
    });
  });
}

function requestOf(limits: readonly LimitSpec[]): fc.Arbitrary<At<StoreRequest>> {
  return fc
    .record({
      mode: fc.constantFrom<StoreRequest["mode"][]>("judge", "judge", "judge", "peek", "force", "force", "undo"),
      steps: fc.array(stepOf(limits), { minLength: 1, maxLength: 3 }),
      once: noneOr(fc.record({ key: fc.constantFrom("o0", "o1"), request: fc.constantFrom("r0", "r1") }), 4),
      wait: noneOr(fc.record({ id, maxMs: fc.constantFrom(10, 1_000, MAX) }), 5),
      agoMs: noneOr(pastMs, 1),
    })
    .map(({ mode, steps, once, wait, agoMs }) => (nowMs: number) => {
      const made = new Map(steps.map((step) => step(nowMs)).map((step) => [step.bucket, step]));
      return {
        mode,
        steps: [...made.values()],
        ...(once === undefined ? {} : { once }),
        ...(wait === undefined ? {} : { wait }),
        ...(agoMs === undefined || (mode !== "force" && mode !== "undo") ? {} : { atMs: nowMs - agoMs }),
      };
    });
}

/** A batch, as it is sent at an instant. */
export interface TermsTurn {
  readonly advanceMs: number;
  readonly send: At<{ readonly terms: Terms; readonly requests: readonly StoreRequest[] }>;
}

/** What of a batch is sent: that of the turn itself, or of an earlier one once more, as it was or to be undone. */
const sending = fc.record({
  again: fc.constantFrom("no", "no", "no", "same", "undo", "force"),
  back: fc.nat(3),
  number: fc.constantFrom(0, 0, 0, 1, 2, 5, 18),
  instance: fc.constantFrom("one", "one", "one", "two"),
  /** How many numbers below its own are open; negative: not even that. */
  open: fc.constantFrom(99, 99, 99, 99, 99, 99, 99, 8, 3, 0, -1),
  closes: fc.constantFrom(undefined, undefined, undefined, false, true),
  incarnation: fc.constantFrom(undefined, undefined, "m-1", "m-1", "m-1", "m-1", "m-1", "m-2"),
  lateMs: fc.constantFrom(undefined, undefined, undefined, 0, 50, 50, -1),
  isNumbered: fc.nat(9),
});

/** Batches on three buckets. Numbers rise, but for what is sent again and what comes late. */
export const termsSchedule: fc.Arbitrary<readonly TermsTurn[]> = fc
  .array(limit, { minLength: 3, maxLength: 3 })
  .chain((limits) =>
    fc.array(
      fc.record({
        advanceMs: fc.constantFrom(0, 0, 0, 1, 2, 5, 9, 10, 25, 30, 37, 100, -1, -8, -60, 600_000),
        sending,
        requests: fc.array(requestOf(limits), { minLength: 0, maxLength: 4 }),
      }),
      { minLength: 10, maxLength: 30 },
    ),
  )
  .map((turns) => {
    const sent: { readonly requests: readonly StoreRequest[]; readonly number: number }[] = [];
    return turns.map(({ advanceMs, sending, requests }): TermsTurn => {
      return {
        advanceMs,
        send(nowMs) {
          const { again, back, incarnation, lateMs, isNumbered, instance, closes, open } = sending;
          const earlier = again === "no" ? undefined : sent.at(-1 - back);
          const made = earlier?.requests ?? requests.map((request) => request(nowMs));
          const number = earlier?.number ?? Math.max(1, sent.length + 1 - sending.number);
          const asked = again === "undo" || again === "force" ? made.map((each) => ({ ...each, mode: again })) : made;
          if (earlier === undefined) sent.push({ requests: made, number });
          const receipt = {
            instance,
            number,
            from: Math.max(1, number - open),
            ...(closes === undefined ? {} : { closes }),
          };
          const terms = {
            ...(incarnation === undefined ? {} : { incarnation }),
            ...(lateMs === undefined ? {} : { notAfterMs: nowMs + lateMs }),
            ...(isNumbered === 0 ? {} : { receipt }),
          };
          return { terms, requests: asked };
        },
      };
    });
  });
