// Sends calls: as many as callers can (closed), or each at a moment of its own, whether the ones before are answered or not
// (open). What a decision lets through runs, and counts itself.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { build, type Histogram } from "hdr-histogram-js";
import { monotonicMs } from "../latency/arrivals.ts";
import { collectGarbage } from "../race.ts";
import type { Answer, Balancer, Sending } from "./balancer.ts";
import type { Bucket, Ledger } from "./ledger.ts";
import type { Call } from "./trace.ts";

const LONGEST_US = 120_000_000;

/** A call that is about to be sent, and where it counts. */
interface Wish {
  readonly bucket: Bucket;
  readonly sending: Sending;
}

/** Calls of callers that wait. */
export interface Closed {
  readonly callers: number;
  readonly forMs: number;
  /** Each so manieth call is sent twice at once. */
  readonly doubleEach?: number;
}

export class Driver {
  readonly #balancer: Balancer;
  readonly #ledger: Ledger;
  readonly #arrivals = new Worker(new URL("../latency/arrivals.ts", import.meta.url));
  #wishes = 0;
  /** Decisions that were made before, and told again because the call had to be sent again. */
  replayed = 0;
  /** Calls that were sent twice at once. */
  doubled = 0;

  constructor(balancer: Balancer, ledger: Ledger) {
    this.#balancer = balancer;
    this.#ledger = ledger;
  }

  /** Resolves to the answers per second of callers that each wait for their answer. */
  async closed(
    calls: readonly Call[],
    { callers, forMs, doubleEach = Number.POSITIVE_INFINITY }: Closed,
  ): Promise<number> {
    const startedMs = performance.now();
    let next = 0;
    await Promise.all(
      Array.from({ length: callers }, async () => {
        while (performance.now() - startedMs < forMs) {
          const call = calls[next++];
          if (call === undefined) return;
          await this.#make(this.#wish(call), next % doubleEach === 0);
        }
      }),
    );
    return (Math.min(next, calls.length) * 1_000) / (performance.now() - startedMs);
  }

  /** Resolves to how long after it was due each call was answered, µs: also those that could not be sent in time. */
  async open(calls: readonly Call[], perSecond: number, random: () => number): Promise<Histogram> {
    const histogram = build({ highestTrackableValue: LONGEST_US, numberOfSignificantValueDigits: 3 });
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    let [arrived, answered] = [0, 0];
    // What lasts is made beforehand, and what is over is cleared away: a pause of this process is none of the service.
    const wishes = calls.map((call) => this.#wish(call));
    collectGarbage();
    const make = async (wish: Wish, dueMs: number) => {
      await this.#make(wish);
      histogram.recordValue(Math.max(1, Math.round((monotonicMs() - dueMs) * 1_000)));
      if (++answered === calls.length) resolve();
    };
    const arrive = (dueMs: number) => {
      const wish = wishes[arrived++];
      if (wish !== undefined) make(wish, dueMs).catch(reject);
    };
    this.#arrivals.on("message", arrive);
    this.#arrivals.postMessage(planOf(calls.length, perSecond, random));
    try {
      await done;
    } finally {
      this.#arrivals.off("message", arrive);
    }
    return histogram;
  }

  async close(): Promise<void> {
    await this.#arrivals.terminate();
  }

  async ready(): Promise<void> {
    await once(this.#arrivals, "online");
  }

  #wish(call: Call): Wish {
    return {
      bucket: this.#ledger.offer(call),
      sending: { key: `call-${++this.#wishes}`, body: JSON.stringify({ call }) },
    };
  }

  async #make({ bucket, sending }: Wish, isDoubled = false): Promise<void> {
    const { allowed, verdicts } = isDoubled ? await this.#twice(sending) : await this.#once(sending);
    if (allowed) return this.#ledger.run(bucket);
    const denying = verdicts.filter((verdict) => !verdict.allowed);
    this.#ledger.deny(
      bucket,
      denying.map(({ limit }) => limit),
    );
  }

  async #once(sending: Sending): Promise<Answer> {
    const answer = await this.#balancer.ask(sending);
    if (answer.replayed) this.replayed++;
    return answer;
  }

  /** As a caller does that has lost patience: two instances have the call at one time. It runs at most once. */
  async #twice(sending: Sending): Promise<Answer> {
    const [one, other] = await Promise.all([this.#balancer.ask(sending), this.#balancer.ask(sending)]);
    this.doubled++;
    if (one.allowed !== other.allowed) throw new Error(`the call ${sending.key} was allowed and denied`);
    return one;
  }
}

/** When calls are due that know nothing of each other (Poisson), from soon on. */
function planOf(count: number, perSecond: number, random: () => number): number[] {
  let atMs = monotonicMs() + 50;
  return Array.from({ length: count }, () => {
    atMs += (-Math.log(1 - random()) * 1_000) / perSecond;
    return atMs;
  });
}
