// Which sessions and users make most calls, and spend most of each unit, per minute, in bounded memory. Beyond the bound the value with the
// least gives its place and its amount to a new one (the Space-Saving algorithm of Metwally, Agrawal and El Abbadi), and `error` says how
// much that was.

import type { LoggedCall } from "../limiter.ts";
import type { Spent } from "./spent.ts";
import type { MinuteTop } from "./storage.ts";
import type { Whose } from "./text.ts";

/** Values of a dimension: those with most calls, and again those that spend most of a unit. */
const MAX_VALUES = 10_000;
const MAX_VALUES_OF_UNIT = 2_000;
/** Units of a minute. What calls spend of more is in the counts by tool and tenant alone. */
const MAX_UNITS = 16;
/** Values that are written. With no more than these, all are written with each batch, else only when the minute is over. */
const MAX_WRITTEN = 200;

const DIMENSIONS = ["session", "user"] as const;
type Dimension = (typeof DIMENSIONS)[number];

type Amounts = Pick<MinuteTop, "calls" | "denied" | "units" | "error">;

interface Counted {
  readonly value: string;
  readonly tenant: string;
  readonly sum: { -readonly [Key in keyof Amounts]: Amounts[Key] };
  /** What was written of it. */
  written: Amounts;
}

const NOTHING: Amounts = { calls: 0, denied: 0, units: 0, error: 0 };

/** The values of one dimension in one minute. */
class Values {
  readonly #dimension: Dimension;
  readonly #unit: string;
  /** What there is most of in those that are kept. */
  readonly #most: "calls" | "units";
  readonly #maxValues: number;
  readonly #byTenant = new Map<string, Map<string, Counted>>();
  #all: Counted[] = [];
  /** Where the search for a value with little goes on. */
  #next = 0;

  constructor(dimension: Dimension, unit: string) {
    this.#dimension = dimension;
    this.#unit = unit;
    this.#most = unit === "" ? "calls" : "units";
    this.#maxValues = unit === "" ? MAX_VALUES : MAX_VALUES_OF_UNIT;
  }

  add(value: string, tenant: string, isAllowed: boolean, units: number): void {
    const { sum } = this.#byTenant.get(tenant)?.get(value) ?? this.#enter(value, tenant);
    sum.calls++;
    sum.units += units;
    if (!isAllowed) sum.denied++;
  }

  get hasFew(): boolean {
    return this.#all.length <= MAX_WRITTEN;
  }

  /** What was added to those with most since the last time. */
  take(minute: number): MinuteTop[] {
    const by = this.#most;
    const most = this.hasFew ? this.#all : this.#all.toSorted((a, b) => b.sum[by] - a.sum[by]).slice(0, MAX_WRITTEN);
    return most.flatMap((counted): MinuteTop[] => {
      const { value, tenant, sum, written } = counted;
      if (sum.calls === written.calls) return [];
      counted.written = { ...sum };
      const added = {
        calls: sum.calls - written.calls,
        denied: sum.denied - written.denied,
        units: sum.units - written.units,
        error: sum.error - written.error,
      };
      return [{ minute, dimension: this.#dimension, unit: this.#unit, value, tenant, ...added }];
    });
  }

  #enter(value: string, tenant: string): Counted {
    const replaced = this.#all.length < this.#maxValues ? null : this.#leastOf(32);
    const error = replaced?.sum[this.#most] ?? 0;
    const counted: Counted = { value, tenant, sum: { ...NOTHING, [this.#most]: error, error }, written: NOTHING };
    if (replaced === null) this.#all.push(counted);
    else {
      this.#all[this.#all.indexOf(replaced)] = counted;
      this.#byTenant.get(replaced.tenant)?.delete(replaced.value);
    }
    const byValue = this.#byTenant.get(tenant) ?? new Map<string, Counted>();
    this.#byTenant.set(tenant, byValue.set(value, counted));
    return counted;
  }

  /** The one with the least among the next so many, which is cheaper than the one of all, and nearly as good. */
  #leastOf(count: number): Counted {
    const by = this.#most;
    const some = Array.from({ length: count }, (_, i) => this.#all[(this.#next + i) % this.#all.length] as Counted);
    this.#next = (this.#next + count) % this.#all.length;
    return some.reduce((least, each) => (each.sum[by] < least.sum[by] ? each : least));
  }
}

export class TopCounts {
  #minute = -1;
  #calls: readonly Values[] = [];
  #byUnit = new Map<string, readonly Values[]>();
  #over: MinuteTop[] = [];

  add({ decision }: LoggedCall, whose: Whose, spent: readonly Spent[]): void {
    const minute = Math.floor(decision.decidedAtMs / 60_000);
    if (minute > this.#minute) {
      this.#over.push(...this.#taken());
      this.#minute = minute;
      this.#calls = valuesOf("");
      this.#byUnit = new Map();
    }
    addTo(this.#calls, whose, decision.allowed, 0);
    for (const { unit, units } of spent) addTo(this.#ofUnit(unit), whose, decision.allowed, units);
  }

  /** @param isLast whether nothing follows: then also what would wait for the end of the minute */
  take(nowMs: number, isLast: boolean): MinuteTop[] {
    const isOver = isLast || Math.floor(nowMs / 60_000) > this.#minute;
    const now = isOver
      ? this.#taken()
      : this.#all.filter(({ hasFew }) => hasFew).flatMap((each) => each.take(this.#minute));
    const tops = [...this.#over, ...now];
    this.#over = [];
    return tops;
  }

  get #all(): readonly Values[] {
    return [this.#calls, ...this.#byUnit.values()].flat();
  }

  #taken(): MinuteTop[] {
    return this.#all.flatMap((each) => each.take(this.#minute));
  }

  #ofUnit(unit: string): readonly Values[] {
    const known = this.#byUnit.get(unit);
    if (known !== undefined || this.#byUnit.size === MAX_UNITS) return known ?? [];
    const made = valuesOf(unit);
    this.#byUnit.set(unit, made);
    return made;
  }
}

function valuesOf(unit: string): readonly Values[] {
  return DIMENSIONS.map((dimension) => new Values(dimension, unit));
}

/** @param values for each dimension, in their order */
function addTo(values: readonly Values[], whose: Whose, isAllowed: boolean, units: number): void {
  for (let i = 0; i < values.length; i++) {
    const value = whose[DIMENSIONS[i] as Dimension];
    if (value !== "") values[i]?.add(value, whose.tenant, isAllowed, units);
  }
}
