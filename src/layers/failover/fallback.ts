// Decides while the store is away: by the kernel, on buckets of this instance alone, each with its share of what was left
// when it was last seen.

import { algorithmOf, type LimitSpec } from "../../kernel/algorithms/registry.ts";
import { freeAfterMs } from "../../kernel/holds.ts";
import {
  type Degraded,
  decide,
  keysOf,
  type Step,
  type StepReply,
  type StoredState,
  StoreError,
  type StoreReply,
  type StoreRequest,
  tooManyHolds,
} from "../../store.ts";
import { modeOf, type Place, type Share, shared, usedIn } from "./shares.ts";
import { spentOf, type Views } from "./views.ts";

/** Most buckets and kept answers of this instance alone; more are denied. */
export const MAX_LOCAL = 100_000;
/** How often all of them are looked at for expiry where there is no room for more. */
const SWEPT_EACH_MS = 1_000;
/** When to try again what only the store could allow. */
const RETRY_AFTER_MS = 1_000;

/** Buckets of this instance alone. */
export class Fallback {
  readonly #views: Views;
  readonly #shares = new Map<string, Share>();
  readonly #states = new Map<string, StoredState>();
  #sweptAtMs = 0;

  constructor(views: Views) {
    this.#views = views;
  }

  /** Forgets all: the store counts again. */
  clear(): void {
    this.#shares.clear();
    this.#states.clear();
  }

  /** The limits by which the steps of a request were judged here. */
  limitsOf({ steps }: StoreRequest): LimitSpec[] {
    return steps.map(({ bucket, limit }) => this.#shares.get(bucket)?.limit ?? limit);
  }

  /**
   * Decides one request.
   *
   * @param failure what the store failed with
   * @throws StoreError the failure, for what only the store can do
   */
  decide(request: StoreRequest, place: Place | null, nowMs: number, failure: StoreError): StoreReply | StoreError {
    const { wait: _, ...asked } = request;
    if (asked.steps.some(({ event }) => isStoreOnly(event.type, asked.mode))) throw failure;
    const shares = asked.steps.map((step) => this.#shareOf(step, place, nowMs));
    const worst = shares.map(({ worstCaseOver }) => worstCaseOver);
    const degraded: Degraded = {
      reason: failure.code,
      worstCaseOver: worst.some((over) => over === null) ? null : Math.max(0, ...worst.map(Number)),
    };
    const steps = asked.steps.map((step, i): Step => {
      return {
        ...step,
        limit: shares[i]?.limit ?? step.limit,
        event: this.#isForeign(step) ? { type: "read" } : step.event,
      };
    });
    const local = { ...asked, steps };
    const keys = keysOf(local);
    const { reply, next } = decide(
      local,
      keys.map((key) => this.#states.get(key)),
      nowMs,
    );
    if (reply === null) return tooManyHolds();
    if (next !== null) {
      if (this.#states.size + keys.length > MAX_LOCAL && !this.#hasRoom(keys.length, nowMs)) {
        throw new StoreError("capacity", `the store is away, and ${MAX_LOCAL} buckets are kept meanwhile`, {
          transient: true,
        });
      }
      for (const [i, key] of keys.entries()) {
        const state = next[i];
        if (state === undefined) this.#states.delete(key);
        else this.#states.set(key, state);
      }
    }
    if (reply.stale === true || reply.replay !== undefined) return { ...reply, degraded };
    return {
      ...reply,
      degraded,
      steps: reply.steps.map((each, i) => this.#shown(asked.steps[i] as Step, shares[i] as Share, each, nowMs)),
    };
  }

  /** A hold that was made in the store, and is not known here. */
  #isForeign({ bucket, event }: Step): boolean {
    if (event.type !== "settle" && event.type !== "extend") return false;
    const state = this.#states.get(bucket);
    return state?.kind !== "held" || state.holds.every(({ id }) => id !== event.id);
  }

  #shareOf(step: Step, place: Place | null, nowMs: number): Share {
    const known = this.#shares.get(step.bucket);
    if (known !== undefined && (known.endsAtMs === null || nowMs < known.endsAtMs)) return known;
    const share = shared(step, this.#views.get(step.bucket), place, nowMs);
    if (this.#shares.size < MAX_LOCAL) this.#shares.set(step.bucket, share);
    if (known === undefined && share.spent !== undefined) this.#states.set(step.bucket, share.spent);
    return share;
  }

  /** As the bucket of the whole limit, in which so much is left as this instance may admit. */
  #shown(step: Step, share: Share, reply: StepReply, nowMs: number): StepReply {
    const { limit, event } = step;
    const capacity = algorithmOf(limit).capacity(limit);
    const left = algorithmOf(share.limit).capacity(share.limit) - reply.used;
    const used = modeOf(step) === "allow" ? 0 : Math.max(0, capacity - left);
    const found = event.type === "settle" || event.type === "extend" ? { hold: reply.hold ?? "live" } : {};
    if (reply.allowed) return { ...reply, ...found, used };
    return { ...reply, ...found, used, ...this.#denial(step, nowMs) };
  }

  /** What was used up when it was last seen is denied as ever; else nobody knows. */
  #denial({ limit, bucket, event, onStoreError }: Step, nowMs: number): Partial<StepReply> {
    const view = this.#views.get(bucket);
    const units =
      event.type === "charge" ? Math.max(1, event.cost) : event.type === "hold" ? Math.max(1, event.units) : 0;
    const capacity = algorithmOf(limit).capacity(limit);
    const isUsedUp = units > capacity + (view?.granted ?? 0) - usedIn(view, nowMs);
    if (!isUsedUp || onStoreError === "deny") return { retryAfterMs: RETRY_AFTER_MS, away: true };
    if (units > capacity) return { retryAfterMs: null };
    const waitMs = freeAfterMs(limit, { spent: spentOf(view, nowMs), holds: [] }, units, nowMs);
    return { retryAfterMs: Math.max(1, waitMs), resetAfterMs: Math.max(0, (view?.endsAtMs ?? nowMs) - nowMs) };
  }

  #hasRoom(more: number, nowMs: number): boolean {
    if (nowMs - this.#sweptAtMs >= SWEPT_EACH_MS) {
      this.#sweptAtMs = nowMs;
      for (const [key, { expiresAtMs }] of this.#states) if (nowMs >= expiresAtMs) this.#states.delete(key);
    }
    return this.#states.size + more <= MAX_LOCAL;
  }
}

const STORE_ONLY: ReadonlySet<Step["event"]["type"]> = new Set(["grant", "revoke", "reset", "raise"]);

function isStoreOnly(event: Step["event"]["type"], mode: StoreRequest["mode"]): boolean {
  return STORE_ONLY.has(event) || (event === "read" && mode === "peek");
}
