// Decides the descriptors of one request: all of them are charged, or none when one is denied. mapping.ts makes calls of
// descriptors, and answer.ts an answer of decisions.

import { isWithin } from "../deadlines.ts";
import type { Decision, Denied } from "../kernel/decision.ts";
import type { Hold, Limiter, Reserved } from "../limiter.ts";
import type { Asked } from "./mapping.ts";

/** How long units are held until the other descriptors are decided: much longer than a store takes. */
const LEASE_MS = 10_000;
/** The most decisions that settle after their answers. Further ones settle before. */
const MAX_SETTLING = 10_000;

export class Decider {
  readonly #limiter: Limiter;
  readonly #settling = new Set<Promise<void>>();
  /** Holds that could be neither settled nor released: they expire, as their limits say. */
  unsettled = 0;

  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /** A decision for each call, in order. Throws as the limiter; only usage that was recorded is charged then. */
  async decide(asked: readonly (Asked | null)[], signal: AbortSignal): Promise<(Decision | null)[]> {
    const isAlone = asked.filter((each) => each !== null).length === 1;
    // Asked in one tick, so that they are one request to the store.
    const answers = await Promise.allSettled(
      asked.map((each) => (each === null ? null : this.#ask(each, isAlone, signal))),
    );
    const decisions = answers.map((answer) => (answer.status === "fulfilled" ? answer.value : null));
    const failure = answers.find(({ status }) => status === "rejected");
    const holds = decisions.flatMap((decision) => (isHeld(decision) ? [decision.hold] : []));
    const isDenied = failure !== undefined || decisions.some((decision) => decision?.allowed === false);
    if (isDenied) await Promise.all(holds.map((hold) => this.#end(hold.release())));
    else for (const hold of holds) await this.#settleLater(hold);
    if (failure?.status === "rejected") throw failure.reason;
    return decisions;
  }

  /** Waits for holds that settle after their answers. Later than that, holds expire. */
  async settled(ms: number): Promise<void> {
    await isWithin(ms, Promise.all(this.#settling));
  }

  #ask({ verb, call }: Asked, isAlone: boolean, signal: AbortSignal): Promise<Decision | Reserved | Denied> {
    if (verb === "record") return this.#limiter.record(call, { signal });
    if (verb === "peek") return this.#limiter.peek(call, { signal });
    return isAlone
      ? this.#limiter.consume(call, { signal })
      : this.#limiter.reserve(call, { signal, leaseMs: LEASE_MS });
  }

  /** Held units count as spent ones do, so that the answer need not wait. */
  async #settleLater(hold: Hold): Promise<void> {
    const settling: Promise<void> = this.#end(hold.settle()).finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
    if (this.#settling.size > MAX_SETTLING) await settling;
  }

  async #end(ended: Promise<unknown>): Promise<void> {
    try {
      await ended;
    } catch {
      this.unsettled++;
    }
  }
}

function isHeld(decision: Decision | null): decision is Reserved {
  return decision !== null && "hold" in decision;
}
