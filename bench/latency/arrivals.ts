// When calls arrive: a thread that sleeps until each planned instant and says so. A timer of Node's would be late by up to a
// millisecond, which is longer than what is measured.

import { parentPort } from "node:worker_threads";

/** Planned instants, in ms of the machine's monotonic clock, which all threads and processes share. */
export type Plan = readonly number[];

export const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

parentPort?.on("message", (plan: Plan) => {
  for (const plannedMs of plan) {
    for (let leftMs = plannedMs - monotonicMs(); leftMs > 0; leftMs = plannedMs - monotonicMs()) {
      Atomics.wait(sleeper, 0, 0, leftMs);
    }
    parentPort?.postMessage(plannedMs);
  }
});
