// An open loop: calls arrive at planned instants, whether earlier calls are answered or not. A thread waits for each instant,
// because a timer of Node is up to 1 ms late, which is longer than what is measured.

import { once } from "node:events";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { build, type Histogram } from "hdr-histogram-js";

/** ms of the machine's monotonic clock, which all threads and processes share. */
export const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

/** The next instants of calls that do not depend on each other (Poisson), in ms of the monotonic clock. */
export function instants(startMs: number, perSecond: number, random: () => number): () => number {
  let atMs = startMs;
  return () => {
    atMs += (-Math.log(1 - random()) * 1_000) / perSecond;
    return atMs;
  };
}

/** Of microseconds. */
export const newHistogram = (): Histogram =>
  build({ lowestDiscernibleValue: 1, highestTrackableValue: 120_000_000, numberOfSignificantValueDigits: 3 });

export class OpenLoop implements AsyncDisposable {
  readonly #thread = new Worker(new URL(import.meta.url));

  async ready(): Promise<void> {
    await once(this.#thread, "online");
  }

  /** Calls `act` at each planned instant. Resolves with the time from each instant to the end of its call. */
  async run(planMs: readonly number[], act: (i: number) => Promise<unknown>): Promise<Histogram> {
    const histogram = newHistogram();
    if (planMs.length === 0) return histogram;
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    let [arrived, ended] = [0, 0];
    const arrive = async (plannedMs: number) => {
      await act(arrived++);
      histogram.recordValue(Math.max(1, Math.round((monotonicMs() - plannedMs) * 1_000)));
      if (++ended === planMs.length) resolve();
    };
    const onMessage = (plannedMs: number) => void arrive(plannedMs).catch(reject);
    this.#thread.on("message", onMessage);
    this.#thread.postMessage(planMs);
    await done.finally(() => this.#thread.off("message", onMessage));
    return histogram;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.terminate();
  }
}

if (!isMainThread) {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  parentPort?.on("message", (planMs: readonly number[]) => {
    for (const plannedMs of planMs) {
      for (let leftMs = plannedMs - monotonicMs(); leftMs > 0; leftMs = plannedMs - monotonicMs()) {
        Atomics.wait(sleeper, 0, 0, leftMs);
      }
      parentPort?.postMessage(plannedMs);
    }
  });
}
