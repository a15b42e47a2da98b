// The load: callers who share instances, at a pace, and what they saw.

import { setTimeout as sleep } from "node:timers/promises";
import type { Contender } from "./contenders.ts";

const TICK_MS = 1;
/** How long a call without an answer is waited for in the end. */
const PATIENCE_MS = 3_000;

/** A call that was answered, or failed. */
export interface Seen {
  readonly instance: number;
  readonly beganMs: number;
  readonly endedMs: number;
  readonly outcome: "allowed" | "denied" | "failed";
  /** Whether the answer says that it was given without the store. */
  readonly degraded: boolean;
}

export class Load {
  readonly seen: Seen[] = [];
  made = 0;
  readonly #contenders: readonly Contender[];
  /** Callers of each instance that wait for nothing. */
  readonly #free: number[];
  readonly #underWay = new Set<Promise<void>>();

  constructor(contenders: readonly Contender[], callers: number) {
    this.#contenders = contenders;
    this.#free = contenders.map((_, i) => Math.ceil((callers - i) / contenders.length));
  }

  get admitted(): number {
    return this.seen.filter(({ outcome }) => outcome === "allowed").length;
  }

  /** Calls without an answer yet. */
  get unanswered(): number {
    return this.#underWay.size;
  }

  /** Each instance gets a call every so many ms, as far as one of its callers is free. */
  async run(everyMs: number, forMs: number, enough: number = Number.POSITIVE_INFINITY): Promise<void> {
    const startedMs = performance.now();
    let turns = 0;
    for (let pastMs = 0; pastMs < forMs && this.made < enough; pastMs = performance.now() - startedMs) {
      for (; turns * everyMs <= pastMs; turns++) {
        for (const instance of this.#contenders.keys()) if (this.made < enough) this.#call(instance);
      }
      await sleep(TICK_MS);
    }
  }

  /** Waits for what is under way. */
  async settle(): Promise<void> {
    const waiting = new AbortController();
    const enough = sleep(PATIENCE_MS, null, { signal: waiting.signal }).catch(() => {});
    await Promise.race([Promise.all(this.#underWay), enough]);
    waiting.abort();
  }

  #call(instance: number): void {
    const contender = this.#contenders[instance];
    const free = this.#free[instance] ?? 0;
    if (contender === undefined || free === 0) return;
    this.#free[instance] = free - 1;
    this.made++;
    const one = this.#observe(contender, instance).finally(() => {
      this.#free[instance] = (this.#free[instance] ?? 0) + 1;
      this.#underWay.delete(one);
    });
    this.#underWay.add(one);
  }

  async #observe(contender: Contender, instance: number): Promise<void> {
    const beganMs = performance.now();
    const see = (outcome: Seen["outcome"], degraded: boolean) =>
      this.seen.push({ instance, beganMs, endedMs: performance.now(), outcome, degraded });
    try {
      const { allowed, degraded } = await contender.decide();
      see(allowed ? "allowed" : "denied", degraded);
    } catch {
      see("failed", false);
    }
  }
}
