// Random schedules of store requests: batches on few buckets, with steps of time that land on and beside expiries.
// Time does not run back here: whether a store still holds a state that had expired by then is its own affair.

import fc from "fast-check";
import {
  decide,
  keysOf,
  type LimitSpec,
  type Step,
  type StepReply,
  type StoredState,
  type StoreReply,
  type StoreRequest,
} from "tollgate/store";
import { isLive } from "../../src/kernel/bucket/entries.ts";

/** A batch, and how long before it the time moved. */
export interface Turn {
  readonly advanceMs: number;
  readonly requests: readonly StoreRequest[];
  /** Whether the first request, when denied, is asked again one ms before the promised instant and at it. */
  readonly retries: boolean;
}

const REMEMBERED_MS = 600_000;

const units = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 50) },
);
const windowMs = fc.constantFrom(10, 20, 37, 100);
const tokenBucket: fc.Arbitrary<LimitSpec> = fc.record({
  algorithm: fc.constant("token-bucket"),
  burst: fc.integer({ min: 1, max: 5 }),
  levelPerUnit: fc.constantFrom(1, 7, 10, 40),
  levelPerMs: fc.constantFrom(1, 3),
});
const spending: fc.Arbitrary<LimitSpec> = fc.oneof(
  fc.record({
    algorithm: fc.constant("budget"),
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
  tokenBucket,
  fc.record({ algorithm: fc.constant("concurrency"), quota: fc.constantFrom(1, 1, 2, 3, 5) }),
);
/** Pauses are rare, so that the other algorithms are drawn as often as they must be. */
const limit: fc.Arbitrary<LimitSpec> = fc.oneof(
  { weight: 20, arbitrary: spending },
  { weight: 1, arbitrary: fc.record({ algorithm: fc.constant("cooldown"), quota: fc.constant(1), pauseMs: windowMs }) },
);

/** Steps of time, and leases that end on and beside them. */
const advanceMs = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(0, 0, 0, 1, 1, 2, 5, 9, 10, 19, 36, 40, 100) },
  { weight: 1, arbitrary: fc.constantFrom(REMEMBERED_MS - 1, REMEMBERED_MS) },
);
const leaseMs = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(1, 2, 5, 6, 9, 10, 11, 19, 20, 36, 40, 41, 100) },
  { weight: 1, arbitrary: fc.constant(REMEMBERED_MS) },
);

/** An event, or one on the hold of its bucket that ends last, or on one before: `back` of them. */
type Draft =
  | Step["event"]
  | { readonly type: "settle"; readonly back: number; readonly more: number; readonly otherwise: Step["event"] }
  | { readonly type: "extend"; readonly back: number; readonly leaseMs: number; readonly otherwise: Step["event"] };

/** A hold that never was. */
const NEVER = 99;
const back = fc.constantFrom(1, 1, 1, 1, 2, 2, 2, 3, NEVER);
const cost = fc.constantFrom(1, 1, 1, 1, 2, 2, 3, 3, 0, 7);
const hold = fc.record({
  type: fc.constant("hold"),
  id: fc.constant(""),
  units: cost,
  leaseMs,
  onExpiry: fc.constantFrom("charge", "refund"),
});
const more = fc.constantFrom(-9, -1, 0, 0, 1, 4);
const draft: fc.Arbitrary<Draft> = fc.oneof(
  { weight: 14, arbitrary: fc.record({ type: fc.constant("charge"), cost }) },
  { weight: 10, arbitrary: hold },
  { weight: 8, arbitrary: fc.record({ type: fc.constant("settle"), back, more, otherwise: hold }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("extend"), back, leaseMs, otherwise: hold }) },
  { weight: 1, arbitrary: fc.constant({ type: "read" } as const) },
  { weight: 1, arbitrary: fc.constant({ type: "reset" } as const) },
) as fc.Arbitrary<Draft>;

const once = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: fc.record({ key: fc.constantFrom("k1", "k2", "k3"), request: fc.constantFrom("r1", "r2") }),
  },
);

/** How long a request waits for its turn. The id of its place is given later. */
const maxWaitMs = fc.constantFrom(1, 9, 40, 41, 400, 400);

const BUCKETS = ["a", "b", "c"];

/** A turn whose steps are drafts. */
interface DraftTurn extends Omit<Turn, "requests"> {
  readonly requests: readonly {
    readonly mode: StoreRequest["mode"];
    readonly steps: readonly (Omit<Step, "event"> & { readonly event: Draft })[];
    readonly once: StoreRequest["once"];
    readonly maxWaitMs: number | undefined;
  }[];
}

/** Schedules on three buckets, whose limits may change on the way as a policy may. */
export const schedule = scheduleOf(fc.array(limit, { minLength: 3, maxLength: 4 }), draft, 1);

/** Schedules of calls that mostly wait in the rows of two token buckets. */
export const rowSchedule = scheduleOf(
  fc.tuple(tokenBucket, tokenBucket, limit),
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant("charge" as const), cost }) },
    { weight: 2, arbitrary: hold },
    { weight: 1, arbitrary: draft },
  ),
  15,
);

/** @param waits how many calls of twenty may wait */
function scheduleOf(
  limits: fc.Arbitrary<readonly LimitSpec[]>,
  event: fc.Arbitrary<Draft>,
  waits: number,
): fc.Arbitrary<readonly Turn[]> {
  const wait = fc.oneof(
    { weight: 20 - waits, arbitrary: fc.constant(undefined) },
    { weight: waits, arbitrary: maxWaitMs },
  );
  return fc
    .tuple(limits, fc.integer({ min: 0, max: 3 }))
    .chain(([limits, strayBucket]) => {
      const step = fc.record({ bucket: fc.nat(2), event, stray: fc.nat(7) }).map(({ bucket, event, stray }) => ({
        bucket: BUCKETS[bucket] ?? "a",
        limit: (stray === 0 && bucket === strayBucket ? limits[3] : limits[bucket]) ?? (limits[0] as LimitSpec),
        event,
      }));
      const request = fc.record({
        mode: fc.constantFrom("judge", "judge", "judge", "judge", "judge", "judge", "peek", "force"),
        steps: fc.oneof(
          fc.tuple(step),
          fc.uniqueArray(step, { minLength: 2, maxLength: 3, selector: ({ bucket }) => bucket }),
        ),
        once,
        maxWaitMs: wait,
      });
      const turn = fc.record({
        advanceMs,
        requests: fc.array(request, { minLength: 1, maxLength: 5 }),
        retries: fc.constantFrom(true, true, false),
      });
      return fc.array(turn, { minLength: 4, maxLength: 8 }) as fc.Arbitrary<DraftTurn[]>;
    })
    .map(named);
}

/** A schedule whose holds have ids of their own, and whose settles and extends mostly name holds that were made. */
function named(turns: readonly DraftTurn[]): readonly Turn[] {
  const kernel = createKernel();
  let nowMs = Date.UTC(2030, 0, 1);
  let count = 0;

  function event(bucket: string, draft: Draft): Step["event"] {
    if (draft.type === "hold") return { ...draft, id: `h${count}` };
    if (!("back" in draft)) return draft;
    const state = kernel.state(bucket);
    const entries = state?.kind === "held" ? state.entries : [];
    const hold = draft.back === NEVER ? { id: "never", units: 2 } : (entries.at(-draft.back) ?? entries.at(-1));
    if (hold === undefined) return event(bucket, draft.otherwise);
    if (draft.type === "extend") return { type: "extend", id: hold.id, leaseMs: draft.leaseMs };
    return { type: "settle", id: hold.id, units: Math.max(0, hold.units + draft.more) };
  }

  return turns.map((turn) => {
    nowMs += turn.advanceMs;
    const requests = turn.requests.map(({ mode, steps, once, maxWaitMs }) => {
      count++;
      const request: StoreRequest = {
        mode,
        steps: steps.map((step) => ({ ...step, event: event(step.bucket, step.event) })),
        ...(once === undefined ? {} : { once }),
        ...(maxWaitMs === undefined ? {} : { wait: { id: `w${count}`, maxMs: maxWaitMs } }),
      };
      kernel.apply(request, nowMs);
      return request;
    });
    return { ...turn, requests };
  });
}

/** The kernel on a plain map. */
function createKernel() {
  const states = new Map<string, StoredState>();
  return {
    state: (key: string) => states.get(key),
    apply(request: StoreRequest, nowMs: number): StoreReply {
      const keys = keysOf(request);
      const before = keys.map((key) => states.get(key));
      const { reply, next } = decide(request, before, nowMs);
      if (reply === null) throw new Error("a schedule has too many holds");
      for (const [i, key] of keys.entries()) {
        const state = next === null ? before[i] : next[i];
        if (state === undefined || nowMs >= state.expiresAtMs) states.delete(key);
        else states.set(key, state);
      }
      return reply;
    },
  };
}

/** The schedule on keys of its own, so that one store serves all schedules. */
export function renamed(turns: readonly Turn[], prefix: string): Turn[] {
  return turns.map((turn) => ({
    ...turn,
    requests: turn.requests.map((request) => ({
      ...request,
      steps: request.steps.map((step) => ({ ...step, bucket: `${prefix}${step.bucket}` })),
      ...(request.once === undefined ? {} : { once: { ...request.once, key: `${prefix}${request.once.key}` } }),
    })),
  }));
}

/** What schedules did with one algorithm, so that a test can tell that they were worth running. */
export interface Tally {
  /** Charges and holds that were judged, and how many of them were denied. */
  asked: number;
  denials: number;
  /** Buckets whose spent units came back because their time had come. */
  expiries: number;
  /** Denied requests that were asked again one ms before the promised instant, and at it. */
  retries: number;
  holds: number;
  /** Settles, by how they found their hold. */
  live: number;
  late: number;
  unknown: number;
  /** Settles that came too late for a hold to be remembered. */
  forgotten: number;
  extends: number;
  /** Extends of holds that had ended or never were. */
  refusedExtends: number;
  /** Holds that ended because they were not settled in time. */
  charged: number;
  refunded: number;
  /** Steps of requests that got an earlier answer. */
  replays: number;
  /** Steps of requests whose answer was kept no more. */
  rejudged: number;
  /** Steps of requests that took a place in a row. */
  places: number;
}

/** A tally for each algorithm. */
export function createTallies(): Record<LimitSpec["algorithm"], Tally> {
  const tally = (): Tally => ({
    asked: 0,
    denials: 0,
    expiries: 0,
    retries: 0,
    holds: 0,
    live: 0,
    late: 0,
    unknown: 0,
    forgotten: 0,
    extends: 0,
    refusedExtends: 0,
    charged: 0,
    refunded: 0,
    replays: 0,
    rejudged: 0,
    places: 0,
  });
  return {
    budget: tally(),
    "fixed-window": tally(),
    "sliding-window": tally(),
    "token-bucket": tally(),
    concurrency: tally(),
    cooldown: tally(),
    // Not in these schedules: words-agree.test.ts has them.
    elapsed: tally(),
    streak: tally(),
  };
}

/** What every store must equal. */
export function createModel(tallies: ReturnType<typeof createTallies>) {
  const kernel = createKernel();
  /** States and holds whose end was counted. */
  const ended = new Set<StoredState | string>();

  function tell(request: StoreRequest, before: readonly (StoredState | undefined)[], reply: StoreReply, nowMs: number) {
    const { steps, once } = request;
    const answer = before[steps.length];
    const isRejudged = once !== undefined && answer !== undefined && reply.replay === undefined;
    for (const [i, step] of steps.entries()) {
      const tally = tallies[step.limit.algorithm];
      if (reply.replay !== undefined) {
        tally.replays++;
        continue;
      }
      if (isRejudged) tally.rejudged++;
      tellTime(tally, step.bucket, before[i], nowMs);
      const stepReply = reply.steps[i];
      if (stepReply !== undefined) tellStep(tally, request, step, before[i], stepReply, reply);
    }
  }

  function tellTime(tally: Tally, bucket: string, state: StoredState | undefined, nowMs: number): void {
    if (state === undefined) return;
    const endMs = state.kind === "held" ? (state.spent?.expiresAtMs ?? Number.POSITIVE_INFINITY) : state.expiresAtMs;
    if (nowMs >= endMs && !ended.has(state)) {
      ended.add(state);
      tally.expiries++;
    }
    for (const entry of state.kind === "held" ? state.entries : []) {
      const { id, expiresAtMs } = entry;
      if (!isLive(entry) || nowMs < expiresAtMs || ended.has(`${bucket} ${id}`)) continue;
      ended.add(`${bucket} ${id}`);
      if (entry.kind === "reservation" && entry.onExpiry === "charge") tally.charged++;
      else tally.refunded++;
    }
  }

  function tellStep(
    tally: Tally,
    { mode }: StoreRequest,
    { event }: Step,
    state: StoredState | undefined,
    { allowed, found }: StepReply,
    reply: StoreReply,
  ): void {
    const isBooked = mode === "force" || (mode === "judge" && reply.allowed);
    if (event.type === "charge" || event.type === "hold") {
      tally.asked++;
      if (!allowed) tally.denials++;
    }
    if (event.type === "extend" && !allowed) tally.refusedExtends++;
    if (!isBooked) return;
    if (event.type === "hold" && event.units > 0) tally.holds++;
    if (event.type === "extend" && allowed) tally.extends++;
    if (event.type === "charge" && reply.waitMs !== undefined) tally.places++;
    if (event.type !== "settle" || found === undefined) return;
    tally[found]++;
    const entries = state?.kind === "held" ? state.entries : [];
    if (entries.some(({ id, expiresAtMs }) => id === event.id && reply.nowMs >= expiresAtMs + REMEMBERED_MS))
      tally.forgotten++;
  }

  return {
    apply(requests: readonly StoreRequest[], nowMs: number): StoreReply[] {
      return requests.map((request) => {
        const before = keysOf(request).map(kernel.state);
        const reply = kernel.apply(request, nowMs);
        tell(request, before, reply, nowMs);
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

/** A peek at the same request later on, whose holds are others: the first ones may live. */
export function peekAt({ steps }: StoreRequest): StoreRequest {
  const rename = (step: Step): Step =>
    step.event.type === "hold" ? { ...step, event: { ...step.event, id: `${step.event.id}-again` } } : step;
  return { mode: "peek", steps: steps.map(rename) };
}
