// Which sessions and users make most calls, per minute, in bounded memory. Beyond the bound the value with the fewest calls gives its
// place and its count to a new one (the Space-Saving algorithm of Metwally, Agrawal and El Abbadi), and `error` says how many those were.

import type { LoggedCall } from "../limiter.ts";
import type { MinuteTop } from "./storage.ts";
import type { Whose } from "./text.ts";

const MAX_VALUES = 10_000;
/** Values that are written. With no more than these, all are written with each batch, else only when the minute is over. */
const MAX_WRITTEN = 200;

const DIMENSIONS = ["session", "user"] as const;
type Dimension = (typeof DIMENSIONS)[number];

interface Counted {
  readonly value: string;
  readonly tenant: string;
  calls: number;
  denied: number;
  error: number;
  writtenCalls: number;
  writtenDenied: number;
  writtenError: number;
}

/** The values of one dimension in one minute. */
class Values {
  readonly #dimension: Dimension;
  readonly #byTenant = new Map<string, Map<string, Counted>>();
  #all: Counted[] = [];
  /** Where the search for a value with few calls goes on. */
  #next = 0;

  constructor(dimension: Dimension) {
    this.#dimension = dimension;
  }

  add(value: string, tenant: string, isAllowed: boolean): void {
    const counted = this.#byTenant.get(tenant)?.get(value) ?? this.#enter(value, tenant);
    counted.calls++;
    if (!isAllowed) counted.denied++;
  }

  get hasFew(): boolean {
    return this.#all.length <= MAX_WRITTEN;
  }

  /** What was added to those with most calls since the last time. */
  take(minute: number): MinuteTop[] {
    const most = this.hasFew ? this.#all : this.#all.toSorted((a, b) => b.calls - a.calls).slice(0, MAX_WRITTEN);
    return most.flatMap((counted): MinuteTop[] => {
      const { value, tenant, calls, denied, error, writtenCalls, writtenDenied, writtenError } = counted;
      if (calls === writtenCalls) return [];
      Object.assign(counted, { writtenCalls: calls, writtenDenied: denied, writtenError: error });
      const added = { calls: calls - writtenCalls, denied: denied - writtenDenied, error: error - writtenError };
      return [{ minute, dimension: this.#dimension, value, tenant, ...added }];
    });
  }

  #enter(value: string, tenant: string): Counted {
    const replaced = this.#all.length < MAX_VALUES ? null : this.#leastOf(32);
    const calls = replaced?.calls ?? 0;
    const written = { writtenCalls: 0, writtenDenied: 0, writtenError: 0 };
    const counted: Counted = { value, tenant, calls, denied: 0, error: calls, ...written };
    if (replaced === null) this.#all.push(counted);
    else {
      this.#all[this.#all.indexOf(replaced)] = counted;
      this.#byTenant.get(replaced.tenant)?.delete(replaced.value);
    }
    const byValue = this.#byTenant.get(tenant) ?? new Map<string, Counted>();
    this.#byTenant.set(tenant, byValue.set(value, counted));
    return counted;
  }

  /** The one with the fewest calls among the next so many, which is cheaper than the one of all, and nearly as good. */
  #leastOf(count: number): Counted {
    const some = Array.from({ length: count }, (_, i) => this.#all[(this.#next + i) % this.#all.length] as Counted);
    this.#next = (this.#next + count) % this.#all.length;
    return some.reduce((least, each) => (each.calls < least.calls ? each : least));
  }
}

export class TopCounts {
  #minute = -1;
  #values: readonly Values[] = [];
  #over: MinuteTop[] = [];

  add({ decision }: LoggedCall, whose: Whose): void {
    const minute = Math.floor(decision.decidedAtMs / 60_000);
    if (minute > this.#minute) {
      this.#over.push(...this.#taken());
      this.#minute = minute;
      this.#values = DIMENSIONS.map((dimension) => new Values(dimension));
    }
    for (let i = 0; i < DIMENSIONS.length; i++) {
      const value = whose[DIMENSIONS[i] as Dimension];
      if (value !== "") this.#values[i]?.add(value, whose.tenant, decision.allowed);
    }
  }

  /** @param isLast whether nothing follows: then also what would wait for the end of the minute */
  take(nowMs: number, isLast: boolean): MinuteTop[] {
    const isOver = isLast || Math.floor(nowMs / 60_000) > this.#minute;
    const now = isOver
      ? this.#taken()
      : this.#values.filter(({ hasFew }) => hasFew).flatMap((each) => each.take(this.#minute));
    const tops = [...this.#over, ...now];
    this.#over = [];
    return tops;
  }

  #taken(): MinuteTop[] {
    return this.#values.flatMap((each) => each.take(this.#minute));
  }
}
