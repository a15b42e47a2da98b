// The load: callers that share instances, at a pace, and what they saw.

import { setTimeout as sleep } from "node:timers/promises";
import type { Contender } from "./contenders.ts";

const TICK_MS = 1;
/** How long `settle` waits for a call without an answer. */
const MAX_WAIT_MS = 3_000;

/** A call that was answered, or failed. Times by `performance.now()`. */
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
  #calls = 0;
  readonly #contenders: readonly Contender[];
  /** Callers of each instance that wait for nothing. */
  readonly #free: number[];
  readonly #inFlight = new Set<Promise<void>>();

  constructor(contenders: readonly Contender[], callers: number) {
    this.#contenders = contenders;
    this.#free = contenders.map((_, i) => Math.ceil((callers - i) / contenders.length));
  }

  get admitted(): number {
    return this.seen.filter(({ outcome }) => outcome === "allowed").length;
  }

  /** Calls without an answer. */
  get unanswered(): number {
    return this.#inFlight.size;
  }

  /** Each instance gets a call every `everyMs`, if one of its callers is free, up to `maxCalls` calls of the whole load. */
  async run(everyMs: number, forMs: number, maxCalls: number = Number.POSITIVE_INFINITY): Promise<void> {
    const startedMs = performance.now();
    let turns = 0;
    for (let pastMs = 0; pastMs < forMs && this.#calls < maxCalls; pastMs = performance.now() - startedMs) {
      for (; turns * everyMs <= pastMs; turns++) {
        for (const [i, contender] of this.#contenders.entries()) if (this.#calls < maxCalls) this.#call(contender, i);
      }
      await sleep(TICK_MS);
    }
  }

  /** Waits for the calls in flight. */
  async settle(): Promise<void> {
    const waiting = new AbortController();
    const tooLong = sleep(MAX_WAIT_MS, null, { signal: waiting.signal }).catch(() => {});
    await Promise.race([Promise.all(this.#inFlight), tooLong]);
    waiting.abort();
  }

  #call(contender: Contender, instance: number): void {
    const free = this.#free[instance] ?? 0;
    if (free === 0) return;
    this.#free[instance] = free - 1;
    this.#calls++;
    const beganMs = performance.now();
    const see = (outcome: Seen["outcome"], degraded = false) =>
      this.seen.push({ instance, beganMs, endedMs: performance.now(), outcome, degraded });
    const call = contender
      .decide()
      .then(
        ({ allowed, degraded }) => see(allowed ? "allowed" : "denied", degraded),
        () => see("failed"),
      )
      .then(() => {
        this.#free[instance] = (this.#free[instance] ?? 0) + 1;
        this.#inFlight.delete(call);
      });
    this.#inFlight.add(call);
  }
}
