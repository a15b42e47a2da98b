// Random schedules for the kernel and its model: limits of every algorithm, and turns that land on and beside the instants that
// mean something.

import fc from "fast-check";
import type { LimitSpec } from "../../src/kernel/algorithms/registry.ts";
import type { StepEvent, StoreRequest } from "../../src/kernel/request.ts";

/** When schedules begin, epoch ms. */
export const START_MS = 1_000_000;

const quotas = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 12 }) }, fc.constant(0));
const lengths = fc.integer({ min: 1, max: 120 });

function limits(make: (quota: number, lengthMs: number) => LimitSpec): fc.Arbitrary<LimitSpec> {
  return fc.tuple(quotas, lengths).map(([quota, lengthMs]) => make(quota, lengthMs));
}

export const LIMITS: Readonly<Record<string, fc.Arbitrary<LimitSpec>>> = {
  "a budget from its last charge": limits((quota, ttlMs) => ({ algorithm: "budget", quota, ttlMs, ttlFrom: "last" })),
  "a budget from its first charge": limits((quota, ttlMs) => ({ algorithm: "budget", quota, ttlMs, ttlFrom: "first" })),
  "a fixed window since 1970": limits((quota, windowMs) => {
    return { algorithm: "fixed-window", quota, windowMs, align: "epoch" };
  }),
  "a fixed window from its first use": limits((quota, windowMs) => {
    return { algorithm: "fixed-window", quota, windowMs, align: "first-use" };
  }),
  "a window of a calendar": limits((quota, lengthMs) => {
    const startMs = START_MS + 5 - lengthMs;
    return {
      algorithm: "fixed-window",
      quota,
      align: "calendar",
      boundaries: [startMs, START_MS + 90, START_MS + 1e9],
    };
  }),
  "a sliding window": limits((quota, windowMs) => ({ algorithm: "sliding-window", quota, windowMs })),
  "a token bucket": limits((burst, lengthMs) => {
    return { algorithm: "token-bucket", burst, levelPerUnit: 1 + (lengthMs % 17), levelPerMs: 1 + (lengthMs % 4) };
  }),
  slots: limits((quota) => ({ algorithm: "concurrency", quota })),
  "elapsed time": limits((quota, ttlMs) => ({ algorithm: "elapsed", quota: 9 * quota, ttlMs })),
  "a streak": limits((quota, ttlMs) => ({ algorithm: "streak", quota: quota % 4, ttlMs })),
  "a cooldown": limits((quota, pauseMs) => ({ algorithm: "cooldown", quota: Math.min(1, quota), pauseMs })),
};

type EventType = StepEvent["type"];
type Mode = StoreRequest["mode"];

function draftOf(types: readonly EventType[]) {
  return fc.record({
    type: fc.constantFrom(...types),
    units: fc.oneof({ weight: 7, arbitrary: fc.nat({ max: 4 }) }, fc.nat({ max: 13 })),
    leaseMs: fc.integer({ min: 1, max: 60 }),
    onExpiry: fc.constantFrom<("charge" | "refund")[]>("charge", "refund"),
    /** Which hold, grant, value or outcome. */
    which: fc.nat({ max: 9 }),
    isShadow: fc.nat({ max: 9 }).map((n) => n === 0),
  });
}

/** An event whose ids are still to be given. */
export type Draft = ReturnType<typeof draftOf> extends fc.Arbitrary<infer Value> ? Value : never;

/** How long a schedule waits: some ms, or to (or to one ms before) an instant that means something. */
const waits = fc.oneof(
  { weight: 20, arbitrary: fc.nat({ max: 9 }) },
  { weight: 2, arbitrary: fc.nat({ max: 150 }) },
  { weight: 9, arbitrary: fc.constantFrom("end", "end - 1", "retry", "retry - 1") },
  { weight: 3, arbitrary: fc.constantFrom("reset", "reset - 1", "forgotten", "forgotten - 1") },
);

interface Shares {
  readonly types: readonly EventType[];
  readonly modes: readonly Mode[];
  readonly mostSteps: number;
  /** Of how many turns one has its answer kept, waits, or was admitted earlier: with `null`, none. */
  readonly once: number | null;
  readonly waits: number | null;
  readonly late: number | null;
}

function turnOf({ types, modes, mostSteps, once, waits: waiting, late }: Shares) {
  const oneOf = <Value>(share: number | null, arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> => {
    const none = fc.constant(null);
    return share === null ? none : fc.oneof({ weight: share - 1, arbitrary: none }, { weight: 1, arbitrary });
  };
  return fc.record({
    wait: waits,
    mode: fc.constantFrom(...modes),
    drafts: fc.array(draftOf(types), { minLength: 1, maxLength: mostSteps }),
    /** Under which key the answer is kept, if it is. */
    once: oneOf(once, fc.nat({ max: 2 })),
    maxWaitMs: oneOf(waiting, fc.constantFrom(1, 9, 40, 90, 300)),
    /** How long ago a forced request was admitted. */
    lateMs: oneOf(late, fc.nat({ max: 90 })),
  });
}

export type Turn = ReturnType<typeof turnOf> extends fc.Arbitrary<infer Value> ? Value : never;

const EVERYTHING: readonly EventType[] = [
  ...(["charge", "charge", "charge", "charge", "charge", "hold", "hold", "hold", "hold"] as const),
  ...([
    "settle",
    "settle",
    "settle",
    "extend",
    "grant",
    "revoke",
    "report",
    "report",
    "raise",
    "read",
    "reset",
  ] as const),
];
const JUDGED: readonly Mode[] = ["judge", "judge", "judge", "judge", "judge", "judge", "judge"];
const ALONE = { mostSteps: 1, once: null, waits: null, late: null };

/** What turns ask for, by what they are about. */
export const TURNS: Readonly<Record<string, fc.Arbitrary<Turn>>> = {
  "everything that a store is asked for": turnOf({
    types: EVERYTHING,
    modes: ["judge", "judge", "judge", "judge", "judge", "force", "peek", "undo"],
    ...{ mostSteps: 2, once: 8, waits: 2, late: 2 },
  }),
  "charges and holds": turnOf({
    types: ["charge", "hold", "hold", "hold", "settle", "settle", "extend"],
    modes: [...JUDGED, "force"],
    ...ALONE,
  }),
  "calls that wait": turnOf({
    types: ["charge", "charge", "hold", "hold", "settle", "extend"],
    modes: JUDGED,
    ...ALONE,
    waits: 1,
  }),
};
