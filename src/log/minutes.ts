// Counts per minute, by limit, tool and tenant: exact, whatever entries are kept. Only what was added since the last batch is sent.

import type { LoggedCall } from "../limiter.ts";
import type { MinuteCount } from "./storage.ts";
import type { Whose } from "./text.ts";

/** Most rows that one minute has with the names of tools, and again with those of tenants. */
const MAX_ROWS = 5_000;
/** Minutes whose counts go on. A clock that jumps makes more: then the oldest begins again. */
const MAX_MINUTES = 3;
/** Stands for the names that a minute has too many of. */
export const OTHER = "_OTHER";

interface Sum {
  calls: number;
  denied: number;
  exceeded: number;
  units: number;
}

/** The counts of one tool and one tenant. */
export class PairCount {
  readonly tool: string;
  readonly tenant: string;
  readonly all: Sum = emptySum();
  readonly byLimit = new Map<string, Sum>();
  logged = 0;
  dropped = 0;
  isChanged = false;

  constructor(tool: string, tenant: string) {
    this.tool = tool;
    this.tenant = tenant;
  }

  addLimit(limit: string): Sum {
    const sum = emptySum();
    this.byLimit.set(limit, sum);
    return sum;
  }

  rowsOf(minute: number): MinuteCount[] {
    const { tool, tenant, logged, dropped } = this;
    const rows: MinuteCount[] = [{ minute, limit: "", tool, tenant, ...this.all, logged, dropped }];
    for (const [limit, sum] of this.byLimit) {
      if (sum.calls > 0) rows.push({ minute, limit, tool, tenant, ...sum, logged: 0, dropped: 0 });
      Object.assign(sum, emptySum());
    }
    Object.assign(this.all, emptySum());
    this.logged = this.dropped = 0;
    this.isChanged = false;
    return rows;
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

  /** @param limits how many limits the call has */
  pairOf(tool: string, tenant: string, limits: number): PairCount {
    const pair = this.#known(tool, tenant) ?? this.#add(tool, tenant, limits);
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

  #add(tool: string, tenant: string, limits: number): PairCount {
    const ofTool = this.#rowCount < MAX_ROWS ? tool : OTHER;
    const ofTenant = this.#rowCount < 2 * MAX_ROWS || tenant === "" ? tenant : OTHER;
    const known = this.#known(ofTool, ofTenant);
    if (known !== undefined) return known;
    this.#rowCount += 1 + limits;
    const pair = new PairCount(ofTool, ofTenant);
    const byTenant = this.#byTool.get(ofTool) ?? new Map<string, PairCount>();
    this.#byTool.set(ofTool, byTenant.set(ofTenant, pair));
    return pair;
  }
}

export class MinuteCounts {
  #minutes: Minute[] = [];

  /** @returns where it is noted whether the decision's entry is kept */
  add({ verb, decision }: LoggedCall, { tool, tenant }: Whose): PairCount {
    const { allowed, replayed, verdicts } = decision;
    const isBooked = (allowed || verb === "record") && !replayed;
    const pair = this.#at(decision.decidedAtMs).pairOf(tool, tenant, verdicts.length);
    pair.all.calls++;
    if (!allowed) pair.all.denied++;
    let isExceeded = false;
    for (const { limit, allowed, exceeded, cost } of verdicts) {
      const sum = pair.byLimit.get(limit) ?? pair.addLimit(limit);
      sum.calls++;
      if (!allowed) sum.denied++;
      if (isBooked) sum.units += cost;
      if (!exceeded) continue;
      sum.exceeded++;
      isExceeded = true;
    }
    if (isExceeded) pair.all.exceeded++;
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

function emptySum(): Sum {
  return { calls: 0, denied: 0, exceeded: 0, units: 0 };
}
