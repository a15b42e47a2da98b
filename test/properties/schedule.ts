// Random schedules of store requests: batches on few buckets, with steps of time that land on and beside expiries.
// Time does not run back here: whether a store still holds a state that had expired by then is its own affair.

import fc from "fast-check";
import {
  decide,
  type LimitSpec,
  type Step,
  type StoredState,
  type StoreReply,
  type StoreRequest,
} from "tollgate/store";

/** A batch, and how long before it the time moved. */
export interface Turn {
  readonly advanceMs: number;
  readonly requests: readonly StoreRequest[];
  /** Whether the first request, when denied, is asked again one ms before the promised instant and at it. */
  readonly retries: boolean;
}

const units = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 5 }) },
  { weight: 1, arbitrary: fc.constant(50) },
);
const windowMs = fc.constantFrom(10, 20, 37, 100);
const limit: fc.Arbitrary<LimitSpec> = fc.oneof(
  fc.record({
    algorithm: fc.constant("quota"),
    quota: units,
    ttlMs: windowMs,
    ttlFrom: fc.constantFrom("first", "last"),
  }),
  fc.record({
    algorithm: fc.constant("fixed-window"),
    quota: units,
    windowMs,
    align: fc.constantFrom("epoch", "first-use"),
  }),
  fc.record({ algorithm: fc.constant("sliding-window"), quota: units, windowMs }),
  fc.record({
    algorithm: fc.constant("gcra"),
    burst: fc.integer({ min: 1, max: 5 }),
    levelPerUnit: fc.constantFrom(1, 7, 10, 40),
    levelPerMs: fc.constantFrom(1, 3),
  }),
);

const event: fc.Arbitrary<Step["event"]> = fc.oneof(
  { weight: 16, arbitrary: fc.record({ type: fc.constant("charge"), cost: fc.constantFrom(1, 1, 1, 2, 3, 0, 7) }) },
  { weight: 1, arbitrary: fc.constant({ type: "read" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "reset" } as const) },
);

const BUCKETS = ["a", "b", "c"];

/** Schedules on three buckets, whose limits may change on the way as a policy may. */
export const schedule: fc.Arbitrary<readonly Turn[]> = fc
  .tuple(fc.array(limit, { minLength: 3, maxLength: 4 }), fc.integer({ min: 0, max: 3 }))
  .chain(([limits, strayBucket]) => {
    const step = fc.record({ bucket: fc.nat(2), event, stray: fc.nat(7) }).map(
      ({ bucket, event, stray }): Step => ({
        bucket: BUCKETS[bucket] ?? "a",
        limit: (stray === 0 && bucket === strayBucket ? limits[3] : limits[bucket]) ?? (limits[0] as LimitSpec),
        event,
      }),
    );
    const request = fc.record({
      mode: fc.constantFrom("judge", "judge", "judge", "judge", "judge", "judge", "peek", "force"),
      steps: fc.uniqueArray(step, { minLength: 1, maxLength: 3, selector: ({ bucket }) => bucket }),
    });
    const turn = fc.record({
      advanceMs: fc.constantFrom(0, 0, 0, 1, 1, 2, 5, 9, 10, 19, 36, 40, 100),
      requests: fc.array(request, { minLength: 1, maxLength: 4 }),
      retries: fc.boolean(),
    });
    return fc.array(turn, { minLength: 4, maxLength: 12 });
  }) as fc.Arbitrary<readonly Turn[]>;

/** The schedule on buckets of its own, so that one store serves all schedules. */
export function renamed(turns: readonly Turn[], prefix: string): Turn[] {
  const rename = (step: Step): Step => ({ ...step, bucket: `${prefix}${step.bucket}` });
  return turns.map((turn) => ({
    ...turn,
    requests: turn.requests.map(({ mode, steps }) => ({ mode, steps: steps.map(rename) })),
  }));
}

/** What schedules did with one algorithm, so that a test can tell that they were worth running. */
export interface Tally {
  charges: number;
  denials: number;
  expiries: number;
  /** Denied charges that were asked again one ms before the promised instant, and at it. */
  retries: number;
}

/** A tally for each algorithm. */
export function createTallies() {
  const tally = (): Tally => ({ charges: 0, denials: 0, expiries: 0, retries: 0 });
  return { quota: tally(), "fixed-window": tally(), "sliding-window": tally(), gcra: tally() };
}

/** The kernel on a plain map: what every store must equal. */
export function createModel(tallies: ReturnType<typeof createTallies>) {
  const states = new Map<string, StoredState>();

  function tell({ steps }: StoreRequest, before: readonly (StoredState | undefined)[], reply: StoreReply): void {
    for (const [i, { limit, event }] of steps.entries()) {
      const tally = tallies[limit.algorithm];
      const state = before[i];
      if (state !== undefined && reply.nowMs >= state.expiresAtMs) tally.expiries++;
      if (event.type !== "charge") continue;
      tally.charges++;
      if (reply.steps[i]?.allowed === false) tally.denials++;
    }
  }

  return {
    apply(requests: readonly StoreRequest[], nowMs: number): StoreReply[] {
      return requests.map((request) => {
        const before = request.steps.map(({ bucket }) => states.get(bucket));
        const { reply, next } = decide(request, before, nowMs);
        tell(request, before, reply);
        for (const [i, { bucket }] of request.steps.entries()) {
          const state = next === null ? before[i] : next[i];
          if (state === undefined || nowMs >= state.expiresAtMs) states.delete(bucket);
          else states.set(bucket, state);
        }
        return reply;
      });
    },
  };
}

/** How long a denied request has to wait: `null` when it was not denied, or never passes. */
export function waitOf({ allowed, steps }: StoreReply): number | null {
  if (allowed || steps.some(({ retryAfterMs }) => retryAfterMs === null)) return null;
  return Math.max(...steps.map(({ retryAfterMs }) => retryAfterMs ?? 0));
}
