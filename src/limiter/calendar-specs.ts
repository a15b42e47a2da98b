// The specs of limits for a store, with the boundaries around the present where the windows of a limit follow a calendar.

import type { CalendarWindow } from "../kernel/policy/algorithm-policy.ts";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { type Bucket, stepOf } from "../kernel/charge.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { Allotment, CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { Step, StepEvent } from "../kernel/request.ts";
import type { Boundaries } from "./calendar.ts";

type Calendar = typeof import("./calendar.ts");

/** Computes boundaries by this machine's clock, or by the store's clock once the store has replied that they lie elsewhere. */
export class CalendarSpecs {
  /** What a call waits for before it makes a request: until dates can be computed. `null`: nothing. */
  loading: Promise<void> | null = null;
  readonly #nowMs: () => number;
  #calendar: Calendar | null = null;
  /** How far the store's clock is ahead of this machine's, as last seen. */
  #offsetMs = 0;
  /** By calendar: those of a replaced policy are garbage collected with it. */
  #boundaries = new WeakMap<CalendarWindow, Boundaries>();
  readonly #specs = new WeakMap<Allotment, LimitSpec>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Begins to load what the calendars of a policy need, if it has any. Without that `loading` rejects with `unsupported-limit`. */
  load({ limits }: CompiledPolicy): void {
    const limit = limits.find(({ calendar }) => calendar !== null);
    this.loading = limit === undefined || this.#calendar !== null ? null : this.#load(limit);
    // A call reports it.
    this.loading?.catch(() => {});
  }

  async #load({ name }: Limit): Promise<void> {
    try {
      const calendar = await import("./calendar.ts");
      await calendar.loadDates();
      this.#calendar = calendar;
      this.loading = null;
    } catch (error) {
      const expected = 'a runtime with Temporal, or the package "temporal-polyfill", for windows of a calendar';
      const fault = { path: `limits.${name}`, expected, got: formatGot(error) };
      throw new MisuseError("unsupported-limit", fault, { cause: error });
    }
  }

  stepOf(bucket: Bucket, event: StepEvent): Step {
    return stepOf(bucket, this.specOf(bucket), event);
  }

  /** The spec of a bucket's limit: the same object as long as the numbers are the same. */
  specOf({ limit: { calendar }, allotment }: Pick<Bucket, "limit" | "allotment">): LimitSpec {
    const { spec } = allotment;
    if (calendar === null || !("boundaries" in spec)) return spec;
    const boundaries = this.#boundariesOf(calendar);
    const known = this.#specs.get(allotment);
    if (known !== undefined && "boundaries" in known && known.boundaries === boundaries) return known;
    const present = { ...spec, boundaries };
    this.#specs.set(allotment, present);
    return present;
  }

  learn(storeNowMs: number): void {
    this.#offsetMs = storeNowMs - this.#nowMs();
    this.#boundaries = new WeakMap();
  }

  #boundariesOf(calendar: CalendarWindow): Boundaries {
    const nowMs = this.#nowMs() + this.#offsetMs;
    const known = this.#boundaries.get(calendar);
    // Near the outer boundaries another one is nearer than the known three.
    if (known !== undefined && nowMs >= (known[0] + known[1]) / 2 && nowMs < (known[1] + known[2]) / 2) return known;
    // A call waits until it is loaded.
    const { boundariesAt } = this.#calendar as Calendar;
    const boundaries = boundariesAt(calendar, nowMs);
    this.#boundaries.set(calendar, boundaries);
    return boundaries;
  }
}
