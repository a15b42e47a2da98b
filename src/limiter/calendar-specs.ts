// The numbers of a limit for a store: where windows are a calendar's, with the boundaries around the present.

import type { CalendarWindow } from "../kernel/policy/algorithm-policy.ts";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Bucket } from "../kernel/charge.ts";
import type { Allotment } from "../kernel/limit.ts";
import { type Boundaries, boundariesAt } from "./calendar.ts";

/** Names boundaries by this machine's clock, or by the store's once that has said that they lie elsewhere. */
export class CalendarSpecs {
  readonly #nowMs: () => number;
  /** By how much the store's clock was seen to be ahead of this machine's. */
  #offsetMs = 0;
  /** Of the policies in use: those of one that was replaced are forgotten with it. */
  #boundaries = new WeakMap<CalendarWindow, Boundaries>();
  readonly #specs = new WeakMap<Allotment, LimitSpec>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The numbers of a bucket's limit, the same object as long as they are the same. */
  specOf({ limit: { calendar }, allotment }: Pick<Bucket, "limit" | "allotment">): LimitSpec {
    const { spec } = allotment;
    if (calendar === null || !("boundaries" in spec)) return spec;
    const boundaries = this.#boundariesOf(calendar);
    const known = this.#specs.get(allotment);
    if (known !== undefined && "boundaries" in known && known.boundaries === boundaries) return known;
    const named = { ...spec, boundaries };
    this.#specs.set(allotment, named);
    return named;
  }

  /** Takes the store's time for right. */
  learn(storeNowMs: number): void {
    this.#offsetMs = storeNowMs - this.#nowMs();
    this.#boundaries = new WeakMap();
  }

  #boundariesOf(calendar: CalendarWindow): Boundaries {
    const nowMs = this.#nowMs() + this.#offsetMs;
    const known = this.#boundaries.get(calendar);
    // In the outer quarters others are nearer: what lies beside would not be among them.
    if (known !== undefined && nowMs >= (known[0] + known[1]) / 2 && nowMs < (known[1] + known[2]) / 2) return known;
    const boundaries = boundariesAt(calendar, nowMs);
    this.#boundaries.set(calendar, boundaries);
    return boundaries;
  }
}
