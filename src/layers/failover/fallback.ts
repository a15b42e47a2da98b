// Decides while the store is away: by the kernel, on buckets of this instance alone, each with its share of what was left
// when it was last seen. What is kept of a bucket is its use. The share follows from the limit of each step, so that a
// changed policy, or another quota for the same bucket, is obeyed at once and makes no use forgotten.

import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import { freeAfterMs } from "../../kernel/bucket/free-after.ts";
import type { Degraded } from "../../kernel/decision.ts";
import type { Step, StepEvent, StepReply, StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoredState } from "../../kernel/state.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { decide } from "../../store/check.ts";
import { StoreError, tooManyHolds } from "../../store/error.ts";
import { BoundedStates } from "../../store/states.ts";
import { unitsNeeded } from "../layer.ts";
import type { LocalFlow } from "./booking.ts";
import { Room } from "./room.ts";
import { grantedWhenSeen, modeOf, partOfUse, placeIn, shareIn, slowed, usedWhenSeen } from "./shares.ts";
import type { Known, Place, Share } from "./shares.ts";
import { spentOf, type View, type Views } from "./views.ts";

/** Most buckets and kept answers of this instance alone. Calls that need more fail. */
export const MAX_LOCAL = 100_000;
/** When to try again what only the store could allow. */
const RETRY_AFTER_MS = 1_000;

/**
 * What a share follows from beside the limit: what this instance knew of a bucket when it first booked on it. Later views
 * contain what was booked here, once the store has it.
 */
interface Basis extends Known {
  /** How the rate was divided when the state was written. */
  readonly among: Place;
}

/** A step as it is judged here. */
interface LocalStep {
  readonly step: Step;
  readonly share: Share;
  readonly basis: Basis;
  readonly state: StoredState | undefined;
}

export class Fallback {
  readonly #views: Views;
  /** By kind of state and bucket, so that a bucket whose limit changes its algorithm and back finds its old count. */
  readonly #states: BoundedStates;
  /** What all of this instance keep together. */
  readonly #room: Room;
  /** Of each of these states. */
  readonly #bases = new WeakMap<StoredState, Basis>();
  /** Units of each bucket that the store may be giving to requests under way: calls that are decided here do not get them. */
  readonly #expected = new Map<string, number>();

  constructor(views: Views, room = new Room()) {
    this.#views = views;
    this.#states = new BoundedStates(MAX_LOCAL);
    this.#room = room;
    room.join(() => this.#states.size);
  }

  /** Forgets all: the store counts again. */
  clear(): void {
    this.#states.clear();
    this.#expected.clear();
  }

  /** How units of a request flow back here that was just booked. */
  flowsOf({ steps }: StoreRequest): LocalFlow[] {
    return steps.map((step) => {
      const { limit } = step;
      const found = this.#found(step);
      if (found === undefined) return { limit, endsAtMs: 0 };
      const { state, basis } = found;
      return { limit: slowed(limit, basis.among), endsAtMs: spentIn(state)?.expiresAtMs ?? 0 };
    });
  }

  /** Takes back what was booked here of a request that fails for its caller after all: its answer is not given again. */
  takeBack(request: StoreRequest, { nowMs: atMs }: StoreReply, nowMs: number, failure: StoreError): void {
    this.decide({ ...request, mode: "undo", atMs }, null, nowMs, failure);
  }

  /** Decides one request. Throws `failure`, what the store failed with, for what only the store can do. */
  decide(request: StoreRequest, place: Place | null, nowMs: number, failure: StoreError): StoreAnswer {
    const { wait: _, ...asked } = request;
    if (needsStore(asked)) throw failure;
    if (asked.mode !== "peek") {
      for (const { bucket, limit } of asked.steps) this.#views.shorten(bucket, limit, nowMs);
    }
    const locals = asked.steps.map((step) => this.#localOf(step, place, nowMs));
    // A limit that denies nothing has no bound that could be passed.
    const worst = locals.filter(({ step }) => step.shadow !== true).map(({ share }) => share.maxOvershoot);
    const degraded: Degraded = {
      reason: failure.code,
      maxOvershoot: worst.some((over) => over === null) ? null : Math.max(0, ...(worst as number[])),
    };
    const steps = locals.map(({ step, share, state }): Step => {
      const event: Step["event"] = isForeign(step, state) ? { type: "read" } : step.event;
      return { ...step, bucket: localKey(step), limit: share.limit, event };
    });
    const local = { ...asked, steps };
    const kept = this.#states.read(local);
    // Behind the states of the steps: the answer that is kept for a key. All who got it from here fail together.
    const answers = kept.slice(locals.length).map((state) => (asked.mode === "undo" ? untold(state) : state));
    const states = [...locals.map(({ state }) => state), ...answers];
    const { reply, next } = decide(local, states, nowMs);
    if (reply === null) return tooManyHolds();
    if (next !== null) {
      this.#states.max = MAX_LOCAL - (this.#room.count - this.#states.size);
      if (!this.#states.write(local, kept, next, reply, nowMs)) {
        const message = `the store is away, and ${MAX_LOCAL} buckets are kept meanwhile`;
        throw new StoreError("capacity", message, { transient: true });
      }
      for (const [i, { basis }] of locals.entries()) {
        const state = this.#states.get(steps[i]?.bucket ?? "");
        if (state !== undefined) this.#bases.set(state, basis);
      }
    }
    if (reply.stale === true || reply.replay !== undefined) return { ...reply, degraded };
    const shown = reply.steps.map((each, i) => this.#shown(locals[i] as LocalStep, each, nowMs));
    return { ...reply, degraded, steps: shown };
  }

  /** Expects that the store books a request that is under way. Returns whether it does: not where the request would not fit. */
  expect({ mode, steps }: StoreRequest, nowMs: number): boolean {
    const isFitting = (step: Step) => {
      const { bucket, limit } = step;
      if (mode === "force" || step.shadow === true) return true;
      const view = this.#views.get(bucket);
      const free =
        algorithmOf(limit).capacity(limit) + grantedWhenSeen(view, limit, nowMs) - usedWhenSeen(view, limit, nowMs);
      return unitsOf(step) <= free - this.#expectedOf(bucket);
    };
    if (!steps.every(isFitting)) return false;
    for (const step of steps) this.#expected.set(step.bucket, this.#expectedOf(step.bucket) + unitsOf(step));
    return true;
  }

  /** It is known what became of a request that was expected. */
  arrived({ steps }: StoreRequest): void {
    for (const step of steps) this.#expected.set(step.bucket, this.#expectedOf(step.bucket) - unitsOf(step));
  }

  #expectedOf(bucket: string): number {
    return this.#expected.get(bucket) ?? 0;
  }

  /** Counts what the store has booked of a request, where this instance already decides the bucket: its state began without it. */
  count({ steps }: StoreRequest, place: Place | null, nowMs: number, failure: StoreError): void {
    const counted = steps.filter((step) => unitsOf(step) > 0 && this.#isBehind(step, nowMs));
    if (counted.length > 0) this.decide({ mode: "force", steps: counted }, place, nowMs, failure);
  }

  /** Whether a bucket is decided here, from a view that is not the newest. */
  #isBehind(step: Step, nowMs: number): boolean {
    const found = this.#found(step);
    if (found === undefined || nowMs >= found.state.expiresAtMs) return false;
    return found.basis.view !== this.#views.get(step.bucket);
  }

  /** What is known of a step's bucket. One that this instance has not booked on is as it was last seen. */
  #localOf(step: Step, place: Place | null, nowMs: number): LocalStep {
    const found = this.#found(step);
    const isNew = found === undefined || nowMs >= found.state.expiresAtMs;
    const known = isNew
      ? { view: this.#views.get(step.bucket), place, seeded: null }
      : { ...found.basis, place: found.basis.place ?? place };
    const among = placeIn(step, known.place);
    const at = (seeded: number | null, state?: StoredState): LocalStep => {
      const whole = shareIn(step, { ...known, seeded }, nowMs);
      const share = { ...whole, limit: lessened(whole.limit, this.#expectedOf(step.bucket)) };
      return { step, share, basis: { ...known, seeded: share.seeded, among }, state: isNew ? share.spent : state };
    };
    if (isNew) return at(null);
    const { limit } = step;
    const { state, basis } = found;
    if (algorithmOf(limit).outage.hasRate && among.instances !== basis.among.instances) {
      const divided = dividedAgain(state, limit, basis, among, nowMs);
      return at(partOfUse(limit, basis.view, among, nowMs), divided);
    }
    // Only a hold is left in the state: the use that it began with has ended.
    return at(hasSpent(state, nowMs) ? basis.seeded : 0, state);
  }

  /** A bucket that this instance has booked on. */
  #found(step: Step): { readonly state: StoredState; readonly basis: Basis } | undefined {
    const state = this.#states.get(localKey(step));
    const basis = state && this.#bases.get(state);
    return state === undefined || basis === undefined ? undefined : { state, basis };
  }

  /** As the bucket of the whole limit, in which so much is left as this instance may admit. */
  #shown({ step, share, basis }: LocalStep, reply: StepReply, nowMs: number): StepReply {
    const { limit, event } = step;
    const capacity = algorithmOf(limit).capacity(limit);
    const left = algorithmOf(share.limit).capacity(share.limit) - reply.used;
    const used = modeOf(step) === "allow" ? 0 : Math.max(0, capacity - left);
    // A hold that the store made is not known here: it is taken to live.
    const found = event.type === "settle" || event.type === "extend" ? { found: reply.found ?? "live" } : {};
    return { ...reply, ...found, used, ...(reply.allowed ? {} : denial(step, basis.view, nowMs)) };
  }
}

function localKey({ bucket, limit }: Step): string {
  return `${algorithmOf(limit).kind} ${bucket}`;
}

function untold(state: StoredState | undefined): StoredState | undefined {
  return state?.kind === "once" ? { ...state, isTold: false } : state;
}

/** The units that are spent in a state, beside what it holds. */
function spentIn(state: StoredState) {
  return state.kind === "held" ? state.spent : state;
}

function hasSpent(state: StoredState, nowMs: number): boolean {
  const spent = spentIn(state);
  return spent !== undefined && nowMs < spent.expiresAtMs;
}

/**
 * The state of a limit with a rate that is divided among another number of instances from now on: this instance's own use stays,
 * and its part of the use that was seen changes.
 */
function dividedAgain(state: StoredState, limit: LimitSpec, basis: Basis, next: Place, nowMs: number): StoredState {
  const { kind, used, book } = algorithmOf(limit);
  const spent = spentIn(state);
  if (spent?.kind !== kind) return state;
  const { view, among } = basis;
  const units = used(slowed(limit, among), spent as SpentState, nowMs);
  const own = Math.max(0, units - partOfUse(limit, view, among, nowMs));
  const divided = book(slowed(limit, next), undefined, own + partOfUse(limit, view, next, nowMs), nowMs);
  if (state.kind !== "held") return divided;
  return { ...state, spent: divided, expiresAtMs: Math.max(state.expiresAtMs, divided.expiresAtMs) };
}

/** Whether a step is about a hold that was made in the store, and is not known here. */
function isForeign({ event }: Step, state: StoredState | undefined): boolean {
  if (event.type !== "settle" && event.type !== "extend") return false;
  return state?.kind !== "held" || state.entries.every(({ id }) => id !== event.id);
}

/** A limit that was used up when it was last seen denies as usual; for others it is unknown what is left. */
function denial(step: Step, view: View | undefined, nowMs: number): Partial<StepReply> {
  const { limit, hints } = step;
  const { type } = step.event;
  const units = type === "charge" || type === "hold" ? unitsNeeded(step) : 0;
  const capacity = algorithmOf(limit).capacity(limit);
  const used = usedWhenSeen(view, limit, nowMs);
  const isUsedUp = units > capacity + grantedWhenSeen(view, limit, nowMs) - used;
  if (!isUsedUp || hints?.onStoreError === "deny") return { retryAfterMs: RETRY_AFTER_MS, away: true };
  if (units > capacity) return { retryAfterMs: null };
  const spent = used === 0 ? undefined : spentOf(view, limit, nowMs);
  const waitMs = freeAfterMs(limit, { spent, entries: [] }, units, nowMs);
  return { retryAfterMs: Math.max(1, waitMs), resetAfterMs: Math.max(0, (view?.endsAtMs ?? nowMs) - nowMs) };
}

/** Units that a step takes, of a limit that counts units. */
function unitsOf({ limit, event }: Step): number {
  if (!algorithmOf(limit).countsUnits) return 0;
  return event.type === "charge" ? event.cost : event.type === "hold" ? event.units : 0;
}

/** A limit with so many units less. */
function lessened(limit: LimitSpec, units: number): LimitSpec {
  const { outage, capacity } = algorithmOf(limit);
  return units === 0 ? limit : outage.withCapacity(limit, Math.max(0, capacity(limit) - units));
}

const STORE_ONLY: ReadonlySet<StepEvent["type"]> = new Set(["grant", "revoke", "reset", "raise"]);

/** Whether only the store can do what a request asks. A `read` of another mode belongs to a request that also books. */
export function needsStore({ mode, steps }: StoreRequest): boolean {
  return steps.some(({ event: { type } }) => STORE_ONLY.has(type) || (type === "read" && mode === "peek"));
}
