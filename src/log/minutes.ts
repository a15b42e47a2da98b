// Counts per minute, by limit, unit, tool and tenant: exact, whatever entries are kept. Only what was added since the last batch is sent.

import type { LoggedCall } from "../limiter.ts";
import { isBooked, type Spent } from "./spent.ts";
import type { MinuteCount } from "./storage.ts";
import type { Whose } from "./text.ts";

/** Most rows that one minute has with the names of tools, and again with those of tenants. */
const MAX_ROWS = 5_000;
/** Minutes whose counts go on. A clock that jumps makes more: then the oldest begins again. */
const MAX_MINUTES = 3;
/** Stands for the names that a minute has too many of. */
export const OTHER = "_OTHER";

type Counts = Pick<MinuteCount, "limit" | "unit" | "calls" | "denied" | "exceeded" | "units">;

class Sum {
  readonly #limit: string;
  readonly unit: string;
  calls = 0;
  #denied = 0;
  #exceeded = 0;
  #units = 0;

  constructor(limit: string, unit: string) {
    this.#limit = limit;
    this.unit = unit;
  }

  add(isAllowed: boolean, isExceeded: boolean, units: number): void {
    this.calls++;
    if (!isAllowed) this.#denied++;
    if (isExceeded) this.#exceeded++;
    this.#units += units;
  }

  /** The counts, which begin again. */
  take(): Counts {
    const { unit, calls } = this;
    const counts = {
      limit: this.#limit,
      unit,
      calls,
      denied: this.#denied,
      exceeded: this.#exceeded,
      units: this.#units,
    };
    this.calls = this.#denied = this.#exceeded = this.#units = 0;
    return counts;
  }
}

/** The counts of one tool and one tenant. */
export class PairCount {
  readonly tool: string;
  readonly tenant: string;
  readonly all = new Sum("", "");
  readonly #sums: Sum[] = [this.all];
  readonly #byLimit = new Map<string, Sum>();
  readonly #byUnit = new Map<string, Sum>();
  logged = 0;
  dropped = 0;
  isChanged = false;

  constructor(tool: string, tenant: string) {
    this.tool = tool;
    this.tenant = tenant;
  }

  /** What a limit counts may change with the policy. */
  ofLimit(limit: string, unit: string): Sum {
    const known = this.#byLimit.get(limit);
    return known?.unit === unit ? known : this.#add(this.#byLimit, limit, new Sum(limit, unit));
  }

  ofUnit(unit: string): Sum {
    return this.#byUnit.get(unit) ?? this.#add(this.#byUnit, unit, new Sum("", unit));
  }

  rowsOf(minute: number): MinuteCount[] {
    const { tool, tenant, logged, dropped } = this;
    const rows: MinuteCount[] = [];
    for (const sum of this.#sums) {
      const ofCalls = sum === this.all ? { logged, dropped } : { logged: 0, dropped: 0 };
      if (sum === this.all || sum.calls > 0) rows.push({ minute, tool, tenant, ...sum.take(), ...ofCalls });
    }
    this.logged = this.dropped = 0;
    this.isChanged = false;
    return rows;
  }

  #add(sums: Map<string, Sum>, name: string, sum: Sum): Sum {
    sums.set(name, sum);
    this.#sums.push(sum);
    return sum;
  }
}

class Minute {
  readonly minute: number;
  readonly #byTool = new Map<string, Map<string, PairCount>>();
  #rowCount = 0;
  changed: PairCount[] = [];

  constructor(minute: number) {
    this.minute = minute;
  }

  /** @param sums how many limits and units the call has */
  pairOf(tool: string, tenant: string, sums: number): PairCount {
    const pair = this.#known(tool, tenant) ?? this.#add(tool, tenant, sums);
    if (!pair.isChanged) {
      pair.isChanged = true;
      this.changed.push(pair);
    }
    return pair;
  }

  take(): MinuteCount[] {
    const rows = this.changed.flatMap((pair) => pair.rowsOf(this.minute));
    this.changed = [];
    return rows;
  }

  #known(tool: string, tenant: string): PairCount | undefined {
    return this.#byTool.get(tool)?.get(tenant);
  }

  #add(tool: string, tenant: string, sums: number): PairCount {
    const ofTool = this.#rowCount < MAX_ROWS ? tool : OTHER;
    const ofTenant = this.#rowCount < 2 * MAX_ROWS || tenant === "" ? tenant : OTHER;
    const known = this.#known(ofTool, ofTenant);
    if (known !== undefined) return known;
    this.#rowCount += 1 + sums;
    const pair = new PairCount(ofTool, ofTenant);
    const byTenant = this.#byTool.get(ofTool) ?? new Map<string, PairCount>();
    this.#byTool.set(ofTool, byTenant.set(ofTenant, pair));
    return pair;
  }
}

export class MinuteCounts {
  #minutes: Minute[] = [];

  /** @returns where it is noted whether the decision's entry is kept */
  add(decided: LoggedCall, { tool, tenant }: Whose, spent: readonly Spent[]): PairCount {
    const { allowed, verdicts, decidedAtMs } = decided.decision;
    const isCharged = isBooked(decided);
    const pair = this.#at(decidedAtMs).pairOf(tool, tenant, verdicts.length + spent.length);
    let isExceeded = false;
    for (const { limit, unit, allowed, exceeded, cost } of verdicts) {
      pair.ofLimit(limit, unit).add(allowed, exceeded, isCharged ? cost : 0);
      isExceeded ||= exceeded;
    }
    pair.all.add(allowed, isExceeded, 0);
    for (const { unit, units } of spent) pair.ofUnit(unit).add(allowed, isExceeded, units);
    return pair;
  }

  /** What was added since the last time. */
  take(): MinuteCount[] {
    return this.#minutes.flatMap((minute) => minute.take());
  }

  #at(ms: number): Minute {
    const minute = Math.floor(ms / 60_000);
    const known = this.#minutes.find((each) => each.minute === minute);
    if (known !== undefined) return known;
    const made = new Minute(minute);
    this.#minutes.push(made);
    const idle = this.#minutes.find(({ changed }) => changed.length === 0);
    if (this.#minutes.length > MAX_MINUTES && idle !== undefined && idle !== made) {
      this.#minutes = this.#minutes.filter((each) => each !== idle);
    }
    return made;
  }
}
