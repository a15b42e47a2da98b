// What becomes of the descriptors of one request: all of them are charged, or none when one is denied. How descriptors
// become calls, and decisions an answer, is not known here.

import type { Decision, Denied } from "../kernel/decision.ts";
import type { Hold, Limiter, Reserved } from "../limiter.ts";
import type { Asked } from "./mapping.ts";

/** How long units are held until the other descriptors are decided: far longer than any store may take. */
const LEASE_MS = 10_000;
/** So many decisions may be settled behind their answers; what comes then waits for its own. */
const MAX_SETTLING = 10_000;

/** Decides requests, and settles behind their answers. */
export class Decider {
  readonly #limiter: Limiter;
  readonly #settling = new Set<Promise<void>>();
  /** Holds that could be neither settled nor released: they expire, as their limits say. */
  unsettled = 0;

  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /**
   * A decision for each that is asked, in order.
   *
   * @throws what the limiter throws; nothing is charged then but what has happened already
   */
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

  /** Waits for what is settled behind its answer, if that is in time: holds end by themselves. */
  async settled(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([Promise.all(this.#settling), late]);
    clearTimeout(timer);
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
