// Holds under every algorithm, compared with a log of what was spent and when, and a list of the live holds. A token bucket
// is a queue here: what was booked first flows off first, and a hold gives back its own part of the queue.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
import { decide } from "../decide.ts";
import type { StepEvent, StepReply, StoreRequest } from "../request.ts";
import type { StoredState } from "../state.ts";
import { decodeState, encodeState } from "../encoding/state.ts";

const SEED = 20_251_122;
const REMEMBERED_MS = 600_000;

interface Spent {
  readonly atMs: number;
  readonly units: number;
}

/** What is spent by an algorithm's rule. Time never runs back between calls. */
interface Ledger {
  spend(units: number, atMs: number): void;
  /** Spends units of a hold at once, where that is the rule: what gives back units of them. */
  spendHeld?(units: number, atMs: number): (units: number, atMs: number) => void;
  used(atMs: number): number;
}

const total = (log: readonly Spent[]) => log.reduce((sum, { units }) => sum + units, 0);

/** Units of the life that `nowMs` is in, where a life ends `lengthMs` after its first or its last entry. */
function unitsOfLife(log: readonly Spent[], nowMs: number, lengthMs: number, from: "first" | "last"): number {
  let life: Spent[] = [];
  const over = (atMs: number) => atMs - (life.at(from === "first" ? 0 : -1)?.atMs ?? 0) >= lengthMs;
  for (const spent of log) life = over(spent.atMs) ? [spent] : [...life, spent];
  return over(nowMs) ? 0 : total(life);
}

function unitsOf(limit: LimitSpec, log: readonly Spent[], nowMs: number): number {
  if (limit.algorithm === "budget") return unitsOfLife(log, nowMs, limit.ttlMs, limit.ttlFrom);
  if (limit.algorithm === "fixed-window" && limit.align === "first-use") {
    return unitsOfLife(log, nowMs, limit.windowMs, "first");
  }
  if (limit.algorithm === "fixed-window" && limit.align === "epoch") {
    const windowAt = (ms: number) => Math.floor(ms / limit.windowMs);
    return total(log.filter(({ atMs }) => windowAt(atMs) === windowAt(nowMs)));
  }
  if (limit.algorithm === "sliding-window") {
    const sub = Math.ceil(limit.windowMs / 10);
    return total(log.filter(({ atMs }) => atMs - (atMs % sub) + sub - 1 > nowMs - limit.windowMs));
  }
  return 0;
}

function ledgerOf(limit: LimitSpec): Ledger {
  if (limit.algorithm === "token-bucket") return queueOf(limit.levelPerUnit, limit.levelPerMs);
  const log: Spent[] = [];
  return {
    spend: (units, atMs) => units > 0 && log.push({ atMs, units }),
    used: (atMs) => unitsOf(limit, log, atMs),
  };
}

function queueOf(levelPerUnit: number, levelPerMs: number): Ledger {
  const queue: { level: number }[] = [];
  let sinceMs = 0;
  const flowTo = (atMs: number) => {
    let flowing = (atMs - sinceMs) * levelPerMs;
    sinceMs = atMs;
    for (const part of queue) {
      const off = Math.min(flowing, part.level);
      part.level -= off;
      flowing -= off;
    }
  };
  const book = (units: number, atMs: number) => {
    flowTo(atMs);
    const part = { level: units * levelPerUnit };
    queue.push(part);
    return part;
  };
  return {
    spend: book,
    spendHeld(units, atMs) {
      const part = book(units, atMs);
      return (unused, backAtMs) => {
        flowTo(backAtMs);
        part.level -= Math.min(part.level, unused * levelPerUnit);
      };
    },
    used(atMs) {
      flowTo(atMs);
      return Math.ceil(queue.reduce((sum, { level }) => sum + level, 0) / levelPerUnit);
    },
  };
}

interface Held {
  readonly id: string;
  readonly units: number;
  readonly onExpiry: "charge" | "refund";
  readonly giveBack: ((units: number, atMs: number) => void) | undefined;
  endMs: number;
  expired: boolean;
}

/** A bucket by the rules alone. */
function modelOf(limit: LimitSpec) {
  const ledger = ledgerOf(limit);
  const holds = new Map<string, Held>();
  return {
    ids: () => [...holds.keys()],
    ends: () => [...holds.values()].map(({ endMs }) => endMs),
    /** Lets what has ended expire, each at its end, and forgets what has been expired for long. */
    pass(nowMs: number) {
      for (const hold of [...holds.values()].sort((a, b) => a.endMs - b.endMs)) {
        if (!hold.expired && nowMs >= hold.endMs) {
          hold.expired = true;
          if (hold.onExpiry === "refund") hold.giveBack?.(hold.units, hold.endMs);
          else if (hold.giveBack === undefined) ledger.spend(hold.units, hold.endMs);
        }
        if (nowMs >= hold.endMs + REMEMBERED_MS) holds.delete(hold.id);
      }
    },
    used(nowMs: number) {
      const apart = [...holds.values()].filter(({ expired, giveBack }) => !expired && giveBack === undefined);
      return ledger.used(nowMs) + apart.reduce((sum, { units }) => sum + units, 0);
    },
    found(id: string) {
      const hold = holds.get(id);
      return hold === undefined ? "unknown" : hold.expired ? "late" : "live";
    },
    book(event: StepEvent, nowMs: number) {
      if (event.type === "charge") ledger.spend(event.cost, nowMs);
      if (event.type === "hold" && event.units > 0) {
        const { id, units, onExpiry, leaseMs } = event;
        const giveBack = ledger.spendHeld?.(units, nowMs);
        holds.set(id, { id, units, onExpiry, giveBack, endMs: nowMs + leaseMs, expired: false });
      }
      if (event.type === "settle") {
        const hold = holds.get(event.id);
        holds.delete(event.id);
        const isSpent = hold?.expired ? hold.onExpiry === "charge" : hold?.giveBack !== undefined;
        if (hold?.expired === false) hold.giveBack?.(Math.max(0, hold.units - event.units), nowMs);
        ledger.spend(isSpent ? Math.max(0, event.units - (hold?.units ?? 0)) : event.units, nowMs);
      }
      if (event.type === "extend") {
        const hold = holds.get(event.id);
        if (hold?.expired === false) hold.endMs = Math.max(hold.endMs, nowMs + event.leaseMs);
      }
    },
  };
}

const lengths = fc.integer({ min: 1, max: 120 });
const quotas = fc.integer({ min: 1, max: 12 });
const LIMITS: Record<string, fc.Arbitrary<LimitSpec>> = {
  "quota, ttl from last": limits((quota, ttlMs) => ({ algorithm: "budget", quota, ttlMs, ttlFrom: "last" })),
  "quota, ttl from first": limits((quota, ttlMs) => ({ algorithm: "budget", quota, ttlMs, ttlFrom: "first" })),
  "fixed-window, epoch": limits((quota, windowMs) => ({ algorithm: "fixed-window", quota, windowMs, align: "epoch" })),
  "fixed-window, first use": limits((quota, windowMs) => {
    return { algorithm: "fixed-window", quota, windowMs, align: "first-use" };
  }),
  "sliding-window": limits((quota, windowMs) => ({ algorithm: "sliding-window", quota, windowMs })),
  "token-bucket": limits((burst, lengthMs) => {
    return { algorithm: "token-bucket", burst, levelPerUnit: 1 + (lengthMs % 17), levelPerMs: 1 + (lengthMs % 4) };
  }),
  concurrency: limits((quota) => ({ algorithm: "concurrency", quota })),
};

function limits(make: (quota: number, lengthMs: number) => LimitSpec): fc.Arbitrary<LimitSpec> {
  return fc.tuple(quotas, lengths).map(([quota, lengthMs]) => make(quota, lengthMs));
}

/** How long a schedule waits: some ms, or to (or to one ms before) an instant that means something. */
const waits = fc.oneof(
  { weight: 20, arbitrary: fc.nat({ max: 9 }) },
  { weight: 2, arbitrary: fc.nat({ max: 150 }) },
  { weight: 9, arbitrary: fc.constantFrom("end", "end - 1", "retry", "retry - 1") },
  { weight: 2, arbitrary: fc.constantFrom("reset", "forgotten", "forgotten - 1") },
);
const turns = fc.record({
  wait: waits,
  type: fc.constantFrom("charge", "hold", "hold", "hold", "settle", "settle", "extend"),
  units: fc.oneof({ weight: 7, arbitrary: fc.nat({ max: 4 }) }, fc.nat({ max: 13 })),
  leaseMs: fc.integer({ min: 1, max: 60 }),
  onExpiry: fc.constantFrom("charge", "refund"),
  /** Which hold, of those that there are. */
  which: fc.nat({ max: 20 }),
  isForced: fc.nat({ max: 9 }).map((n) => n === 0),
});
type Turn = typeof turns extends fc.Arbitrary<infer T> ? T : never;
const schedules = fc.array(turns, { minLength: 10, maxLength: 30 });

function eventOf({ type, units, leaseMs, onExpiry, which }: Turn, ids: readonly string[], id: string): StepEvent {
  if (type === "charge") return { type: "charge", cost: units };
  const old = which === 0 ? "unknown" : ids[which % ids.length];
  if (type === "hold" || old === undefined)
    return { type: "hold", id, units, leaseMs, onExpiry: onExpiry as "charge" | "refund" };
  return type === "settle" ? { type: "settle", id: old, units } : { type: "extend", id: old, leaseMs };
}

function ask(
  limit: LimitSpec,
  state: StoredState | undefined,
  event: StepEvent,
  nowMs: number,
  mode: StoreRequest["mode"] = "judge",
): { reply: StepReply; next: readonly (StoredState | undefined)[] | null } {
  const { reply, next } = decide({ mode, steps: [{ bucket: "b", limit, event }] }, [state], nowMs);
  const step = reply?.steps[0];
  assert.ok(step);
  return { reply: step, next };
}

/** What a store that keeps text reads back. */
function stored(state: StoredState | undefined): StoredState | undefined {
  if (state === undefined) return undefined;
  const read = decodeState(encodeState(state), state.expiresAtMs);
  assert.deepEqual(read, state);
  return state;
}

/** What a bucket promises, a charge and a hold alike: about the state alone, whatever else was its history. */
function checkPromises(limit: LimitSpec, before: StoredState | undefined, cost: number, nowMs: number): StepReply {
  // A state that is ahead of a clock that was set back is corrected once, by any request but a peek.
  const state = ask(limit, before, { type: "read" }, nowMs).next?.[0] ?? before;
  const capacity = algorithmOf(limit).capacity(limit);
  const { reply, next } = ask(limit, state, { type: "charge", cost }, nowMs, "peek");
  const hold: StepEvent = { type: "hold", id: "new", units: cost, leaseMs: 5, onExpiry: "charge" };
  const asHold = ask(limit, state, hold, nowMs, "peek").reply;
  assert.equal(next, null);
  assert.equal(reply.retryAfterMs === 0, reply.allowed);
  assert.equal(reply.retryAfterMs === null, Math.max(1, cost) > capacity);
  assert.equal(asHold.allowed, reply.allowed);
  assert.equal(asHold.retryAfterMs, reply.retryAfterMs);
  if (!reply.allowed) {
    assert.deepEqual(asHold, reply);
    assert.equal(ask(limit, state, hold, nowMs).next, null);
  }
  const allowedAt = (atMs: number) => ask(limit, state, { type: "charge", cost }, atMs, "peek").reply.allowed;
  if (reply.retryAfterMs) {
    assert.equal(allowedAt(nowMs + reply.retryAfterMs - 1), false);
    assert.equal(allowedAt(nowMs + reply.retryAfterMs), true);
  }
  const read = (atMs: number) => ask(limit, state, { type: "read" }, atMs);
  const { reply: now, next: written } = read(nowMs);
  assert.equal(written, null);
  assert.equal(read(nowMs + now.resetAfterMs).reply.used, 0);
  if (now.resetAfterMs > 0) assert.ok(read(nowMs + now.resetAfterMs - 1).reply.used > 0);
  return reply.allowed ? now : reply;
}

function waitMs(wait: number | string, last: StepReply, ends: readonly number[], nowMs: number): number {
  if (typeof wait === "number") return wait;
  const nextEndMs = Math.min(...ends.filter((endMs) => endMs > nowMs));
  const lastEndMs = Math.max(...ends);
  const [what, before] = wait.split(" - ");
  let ms = last.resetAfterMs;
  if (what === "retry") ms = last.retryAfterMs ?? 0;
  if (what === "end") ms = Number.isFinite(nextEndMs) ? nextEndMs - nowMs : 0;
  if (what === "forgotten") ms = Number.isFinite(lastEndMs) ? lastEndMs + REMEMBERED_MS - nowMs : 0;
  return Math.max(0, ms - Number(before ?? 0));
}

const NO_REPLY: StepReply = { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 };

describe("holds", () => {
  for (const [name, limitOf] of Object.entries(LIMITS)) {
    it(`${name}: equals its rule over the log and the holds, and names the exact instants`, () => {
      const counts = { live: 0, late: 0, unknown: 0, several: 0, denied: 0, waiting: 0, forced: 0, inDebt: 0 };
      const property = fc.property(limitOf, fc.nat({ max: 500 }), schedules, (limit, offsetMs, schedule) => {
        const capacity = algorithmOf(limit).capacity(limit);
        const model = modelOf(limit);
        let nowMs = 1_000_000 + offsetMs;
        let state: StoredState | undefined;
        let last = NO_REPLY;
        for (const [i, turn] of schedule.entries()) {
          nowMs += waitMs(turn.wait, last, model.ends(), nowMs);
          model.pass(nowMs);
          const used = model.used(nowMs);
          const event = eventOf(turn, model.ids(), `h${i}`);
          const { reply, next } = ask(limit, state, event, nowMs, turn.isForced ? "force" : "judge");

          const hold = "id" in event && event.type !== "hold" ? model.found(event.id) : undefined;
          const cost = event.type === "charge" ? event.cost : event.type === "hold" ? event.units : undefined;
          let fits = event.type !== "extend" || hold === "live";
          if (cost !== undefined) fits = used + Math.max(1, cost) <= capacity;
          assert.equal(reply.allowed, fits);
          assert.equal(reply.found, hold);
          if (fits || turn.isForced) model.book(event, nowMs);
          else assert.equal(next, null);
          assert.equal(reply.used, model.used(nowMs));
          if (next !== null) state = stored(next[0]);
          last = checkPromises(limit, state, 1 + (turn.which % capacity), nowMs);

          if (hold !== undefined) counts[hold]++;
          const live = model.ends().filter((endMs) => nowMs < endMs).length;
          counts.several += live > 1 ? 1 : 0;
          counts.denied += fits ? 0 : 1;
          counts.waiting += live > 0 && last.retryAfterMs ? 1 : 0;
          counts.forced += turn.isForced && !fits ? 1 : 0;
          counts.inDebt += reply.used > capacity ? 1 : 0;
        }
      });
      fc.assert(property, { seed: SEED, numRuns: 150 });
      for (const [what, count] of Object.entries(counts)) assert.ok(count > 40, `${what}: ${count}`);
    });
  }

  it("keep their promises when the clock is set back and the limit is changed while they live", () => {
    const counts = { live: 0, late: 0, setBack: 0, denied: 0, waiting: 0 };
    const limits = fc.constantFrom(...Object.values(LIMITS)).chain((limitOf) => fc.array(limitOf, { minLength: 3 }));
    const change = fc.record({ turn: turns, stepMs: fc.integer({ min: -40, max: 60 }), which: fc.nat({ max: 99 }) });
    const changes = fc.array(change, { minLength: 10, maxLength: 30 });
    const property = fc.property(limits, changes, (limits, changes) => {
      const ids: string[] = [];
      let nowMs = 1_000_000;
      let state: StoredState | undefined;
      for (const [i, { turn, stepMs, which }] of changes.entries()) {
        const limit = limits[which % limits.length] ?? assert.fail();
        nowMs += stepMs;
        const event = eventOf(turn, ids, `h${i}`);
        const { reply, next } = ask(limit, state, event, nowMs, turn.isForced ? "force" : "judge");
        if (event.type === "hold" && reply.allowed) ids.push(event.id);
        if (next !== null) state = stored(next[0]);
        const { retryAfterMs } = checkPromises(limit, state, 1 + turn.units, nowMs);
        counts.live += reply.found === "live" ? 1 : 0;
        counts.late += reply.found === "late" ? 1 : 0;
        counts.setBack += stepMs < 0 && state?.kind === "held" ? 1 : 0;
        counts.denied += reply.allowed ? 0 : 1;
        counts.waiting += retryAfterMs ? 1 : 0;
      }
    });
    fc.assert(property, { seed: SEED, numRuns: 400 });
    for (const [what, count] of Object.entries(counts)) assert.ok(count > 200, `${what}: ${count}`);
  });
});
