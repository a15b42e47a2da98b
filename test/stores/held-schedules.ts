// Random schedules of holds, kept answers and all other events: with a clock that is set back, limits that change on the
// way, and values that another program wrote.

import fc from "fast-check";
import type { LimitSpec, Step, StepEvent, StoreRequest } from "tollgate/store";
import { NOW_MS } from "./redis-pair.ts";

const MAX = Number.MAX_SAFE_INTEGER;

const IDS = ["a", "a", "b-_9", "0d"];
const units = fc.constantFrom(1, 1, 1, 1, 2, 2, 2, 3, 3, 0, 5, 9, MAX - 1, MAX);
const leaseMs = fc.constantFrom(1, 10, 30, 100, 100, 400, 400, 700_000);
const onExpiry = fc.constantFrom<("charge" | "refund")[]>("charge", "refund");
const id = fc.constantFrom(...IDS);
const event: fc.Arbitrary<StepEvent> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant("charge" as const), cost: units }) },
  { weight: 9, arbitrary: fc.record({ type: fc.constant("hold" as const), id, units, leaseMs, onExpiry }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("settle" as const), id, units }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("extend" as const), id, leaseMs }) },
  { weight: 1, arbitrary: fc.constant({ type: "read" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "reset" } as const) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("grant" as const), id, units, leaseMs }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("revoke" as const), id }) },
);

const lengthMs = fc.constantFrom(10, 37, 100, 400, 1_000_000);
const capacity = fc.constantFrom(0, 3, 5, 12, 12, 40, 40, MAX);
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
  fc.record({ algorithm: fc.constant("sliding-window" as const), quota: capacity, windowMs: lengthMs }),
  { weight: 2, arbitrary: tokenBucketOf() },
  fc.record({ algorithm: fc.constant("concurrency" as const), quota: fc.constantFrom(0, 1, 3, 12, 12, 1_000) }),
);

function tokenBucketOf(): fc.Arbitrary<LimitSpec> {
  const burst = fc.constantFrom(1, 3, 5, 12, 40);
  const levelPerUnit = fc.constantFrom(1, 7, 10, 10, 400);
  return fc.record({
    algorithm: fc.constant("token-bucket" as const),
    burst,
    levelPerUnit,
    levelPerMs: fc.constantFrom(1, 1, 3),
  });
}

/** A limit as another version of a policy may have it: most often of the same algorithm. */
function changed(limit: LimitSpec): fc.Arbitrary<LimitSpec> {
  const shorter = fc.constantFrom(10, 37, 400);
  switch (limit.algorithm) {
    case "budget":
      return fc.record({ quota: capacity, ttlMs: shorter }).map((other) => ({ ...limit, ...other }));
    case "token-bucket":
      return tokenBucketOf();
    case "concurrency":
      return fc.constant({ ...limit, quota: 2 });
    default:
      return fc.record({ quota: capacity, windowMs: shorter }).map((other) => ({ ...limit, ...other }));
  }
}

const digits = fc.constantFrom("0", "1", "2", "5", "07", `${NOW_MS}`, `${NOW_MS + 3}`, `${NOW_MS + 90}`, `${2 ** 52}`);
/** A mark, or the hold that a place becomes. */
function writtenMore(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constant(""),
    { weight: 2, arbitrary: fc.tuple(digits, digits).map((mark) => `,${mark.join()},10`) },
    fc.tuple(fc.constantFrom("c", "r"), digits).map(([letter, leaseMs]) => `,${letter}${leaseMs}`),
  );
}
const writtenHold = fc
  .tuple(id, digits, digits, fc.constantFrom("c", "r", "C", "R", "p"), writtenMore())
  .map(([name, taken, endMs, letter, more]) => `${name},${taken},${endMs},${letter}${more}`);
const writtenSpent = fc.constantFrom(
  "",
  ` ${NOW_MS + 20} 4`,
  ` ${NOW_MS + 60} g1 ${NOW_MS - 5} 30 10`,
  ` ${NOW_MS + 60} g1 ${NOW_MS + 9} 50 07`,
  ` ${NOW_MS + 50} s1 4 ${Math.floor(NOW_MS / 4)} 1,02,0,1`,
  " 5 3",
);
/** What someone wrote by hand: holds in no order, marks in buckets that have none, leading zeros. */
const written = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("c", "s", "g", "g", "n"),
      fc.array(writtenHold, { minLength: 1, maxLength: 4 }),
      writtenSpent,
    )
    .map(([letter, holds, spent]) => `h1 ${letter} ${holds.join(";")}${spent}`),
  fc.constantFrom("3", `g1 ${NOW_MS} 30 10`, "x", `o1 r . ${NOW_MS} 1 1,1,9,0,-`),
);

const mode = fc.constantFrom<StoreRequest["mode"][]>("judge", "judge", "judge", "judge", "judge", "peek", "force");
const once = fc.record({ key: fc.constantFrom("o0", "o1", "o2", "b2"), request: fc.constantFrom("r0", "r-_1") });
const wait = fc.record({ id, maxMs: fc.constantFrom(1, 10, 100, 100, 1_000, MAX) });
const advanceMs = fc.constantFrom(
  0,
  0,
  0,
  0,
  0,
  1,
  1,
  2,
  2,
  5,
  5,
  9,
  10,
  25,
  30,
  37,
  100,
  -1,
  -1,
  -8,
  -60,
  599_990,
  600_000,
);
const BUCKETS = ["b0", "b1", "b2"];

/** Texts that are there before, and batches, each some time after the one before. */
export interface Schedule {
  readonly written: readonly (readonly [key: string, text: string, endMs: number])[];
  readonly turns: readonly { readonly advanceMs: number; readonly requests: readonly StoreRequest[] }[];
}

const noneOr = <Value>(arbitrary: fc.Arbitrary<Value>, weight: number) =>
  fc.oneof({ weight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

/** A request with what it has. */
function asked({
  once,
  wait,
  ...request
}: Omit<StoreRequest, "once" | "wait"> & {
  readonly once?: StoreRequest["once"] | undefined;
  readonly wait: StoreRequest["wait"] | undefined;
}): StoreRequest {
  return { ...request, ...(once === undefined ? {} : { once }), ...(wait === undefined ? {} : { wait }) };
}

/** Batches on three buckets, each of a limit that may change on the way; now and then of another bucket's. */
export const anySchedule: fc.Arbitrary<Schedule> = fc
  .array(
    limit.chain((first) => fc.record({ first: fc.constant(first), other: changed(first) })),
    { minLength: 3, maxLength: 3 },
  )
  .chain((limits) => {
    const step = fc
      .record({ bucket: fc.nat(2), event, isOther: fc.nat(7), isStray: fc.nat(39) })
      .map(({ bucket, event, isOther, isStray }): Step => {
        const { first, other } = limits[isStray === 0 ? 0 : bucket] as (typeof limits)[0];
        return { bucket: BUCKETS[bucket] ?? "", limit: isOther === 0 ? other : first, event };
      });
    const steps = fc.uniqueArray(step, { minLength: 0, maxLength: 3, selector: ({ bucket }) => bucket });
    const request = fc.record({ mode, steps, once: noneOr(once, 5), wait: noneOr(wait, 3) }).map(asked);
    const byHand = fc.tuple(fc.constantFrom(...BUCKETS, "o0"), written, fc.constantFrom(1, 40, 700_000));
    return fc.record({
      written: fc.oneof(
        { weight: 3, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(byHand, { minLength: 1, maxLength: 3 }) },
      ),
      turns: fc.array(fc.record({ advanceMs, requests: fc.array(request, { minLength: 1, maxLength: 4 }) }), {
        minLength: 3,
        maxLength: 12,
      }),
    });
  });

/**
 * Many holds in one slow token bucket, which are given back most often: marks that sink, several in one ms, in the order
 * of their ends and in another.
 */
export const tokenBucketSchedule: fc.Arbitrary<Schedule> = fc
  .record({
    levelPerUnit: fc.constantFrom(7, 100, 400),
    levelPerMs: fc.constantFrom(1, 3),
    leasesMs: fc.constantFrom([200], [200], [200, 201, 230]),
  })
  .chain(({ leasesMs, ...rate }) => {
    const limit: LimitSpec = { algorithm: "token-bucket", burst: 40, ...rate };
    const id = fc.constantFrom(..."abcdefgh");
    const ending = fc.constantFrom<("charge" | "refund")[]>("refund", "refund", "refund", "charge");
    const few = fc.constantFrom(1, 2, 2, 5, 9);
    const event: fc.Arbitrary<StepEvent> = fc.oneof(
      {
        weight: 12,
        arbitrary: fc.record({
          type: fc.constant("hold" as const),
          id,
          units: few,
          leaseMs: fc.constantFrom(...leasesMs),
          onExpiry: ending,
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ type: fc.constant("settle" as const), id, units: fc.constantFrom(0, 1, 3) }),
      },
      { weight: 1, arbitrary: fc.record({ type: fc.constant("extend" as const), id, leaseMs: fc.constant(260) }) },
      { weight: 4, arbitrary: fc.record({ type: fc.constant("charge" as const), cost: few }) },
      { weight: 2, arbitrary: fc.constant({ type: "read" } as const) },
    );
    const wait = fc.record({ id, maxMs: fc.constantFrom(30, 400, 4_000) });
    const request = fc
      .record({
        mode: fc.constantFrom<StoreRequest["mode"][]>("judge", "judge", "judge", "force"),
        steps: event.map((event): Step[] => [{ bucket: "b0", limit, event }]),
        wait: noneOr(wait, 2),
      })
      .map(asked);
    const turn = fc.record({
      advanceMs: fc.constantFrom(0, 0, 0, 1, 3, 10, 40, 90, 201),
      requests: fc.array(request, { minLength: 1, maxLength: 6 }),
    });
    return fc.record({ written: fc.constant([]), turns: fc.array(turn, { minLength: 4, maxLength: 10 }) });
  });
