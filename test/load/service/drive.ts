// Sends calls in a closed loop (a number of callers that each await their answers) or an open one (each call at its own
// instant). A call that a decision allows runs, and counts itself.

import type { Histogram } from "hdr-histogram-js";
import { instants, monotonicMs, type OpenLoop } from "../../../bench/open-loop.ts";
import { collectGarbage } from "../../../bench/garbage.ts";
import type { Answer, Balancer, Sending } from "./balancer.ts";
import type { Bucket, Ledger } from "./ledger.ts";
import type { Call } from "./trace.ts";

/** Until the first call of an open loop. */
const AHEAD_MS = 50;

/** A call that is about to be sent, and the bucket in which it counts. */
interface Offered {
  readonly bucket: Bucket;
  readonly sending: Sending;
}

/** A closed loop. */
export interface Closed {
  readonly callers: number;
  readonly forMs: number;
  /** Each n-th call is sent twice at once. */
  readonly doubleEach?: number;
}

export class Driver {
  readonly #balancer: Balancer;
  readonly #ledger: Ledger;
  readonly #loop: OpenLoop;
  #offered = 0;
  /** Decisions that had been made before, and were repeated because the call was sent again. */
  replayed = 0;
  /** Calls that were sent twice at once. */
  doubled = 0;

  constructor(balancer: Balancer, ledger: Ledger, loop: OpenLoop) {
    this.#balancer = balancer;
    this.#ledger = ledger;
    this.#loop = loop;
  }

  /** Resolves with the answers per second. */
  async closed(calls: readonly Call[], { callers, forMs, doubleEach = Number.POSITIVE_INFINITY }: Closed) {
    const startedMs = performance.now();
    let next = 0;
    const caller = async () => {
      while (performance.now() - startedMs < forMs) {
        const call = calls[next++];
        if (call === undefined) return;
        await this.#make(this.#offer(call), next % doubleEach === 0);
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return (Math.min(next, calls.length) * 1_000) / (performance.now() - startedMs);
  }

  /** Resolves with the time from the instant of each call to its answer, µs. */
  async open(calls: readonly Call[], perSecond: number, random: () => number): Promise<Histogram> {
    // Made and cleared before, so that a pause of this process does not count as one of the service.
    const offered = calls.map((call) => this.#offer(call));
    collectGarbage();
    const next = instants(monotonicMs() + AHEAD_MS, perSecond, random);
    const planMs = calls.map(() => next());
    return this.#loop.run(planMs, (i) => this.#make(offered[i] as Offered));
  }

  #offer(call: Call): Offered {
    const key = `call-${++this.#offered}`;
    return { bucket: this.#ledger.offer(call), sending: { key, body: JSON.stringify({ call }) } };
  }

  async #make({ bucket, sending }: Offered, isDoubled = false): Promise<void> {
    const { allowed, verdicts } = isDoubled ? await this.#askTwice(sending) : await this.#ask(sending);
    if (allowed) return this.#ledger.run(bucket);
    const denying = verdicts.filter((verdict) => !verdict.allowed).map(({ limit }) => limit);
    this.#ledger.deny(bucket, denying);
  }

  async #ask(sending: Sending): Promise<Answer> {
    const answer = await this.#balancer.ask(sending);
    if (answer.replayed) this.replayed++;
    return answer;
  }

  /** Like an impatient caller: two instances have the call at the same time. It runs at most once. */
  async #askTwice(sending: Sending): Promise<Answer> {
    const [one, other] = await Promise.all([this.#balancer.ask(sending), this.#balancer.ask(sending)]);
    this.doubled++;
    if (one.allowed !== other.allowed) throw new Error(`the call ${sending.key} was allowed and denied`);
    return one;
  }
}
