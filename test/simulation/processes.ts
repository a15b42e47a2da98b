// Simulates in several processes. Each one gets a small part of the schedules when it is done with the one before, so that all of
// them end at about the same time.

import { fork } from "node:child_process";
import type { SimulateOptions } from "./simulate.ts";
import type { Totals } from "./totals.ts";

/** Schedules that follow each other. */
export interface Chunk {
  readonly first: number;
  readonly schedules: number;
}

const SCHEDULES_IN_CHUNK = 100;

export function chunksOf(first: number, schedules: number): Chunk[] {
  return Array.from({ length: Math.ceil(schedules / SCHEDULES_IN_CHUNK) }, (_, i) => ({
    first: first + i * SCHEDULES_IN_CHUNK,
    schedules: Math.min(SCHEDULES_IN_CHUNK, schedules - i * SCHEDULES_IN_CHUNK),
  }));
}

/**
 * @param next what is simulated next; `undefined`: nothing more
 * @param add is called with the sums of each chunk
 */
export async function simulateInProcesses(
  processes: number,
  options: SimulateOptions,
  next: () => Chunk | undefined,
  add: (chunk: Chunk, totals: Totals) => void,
): Promise<void> {
  await Promise.all(Array.from({ length: processes }, () => simulateInProcess(options, next, add)));
}

function simulateInProcess(
  options: SimulateOptions,
  next: () => Chunk | undefined,
  add: (chunk: Chunk, totals: Totals) => void,
): Promise<void> {
  const child = fork(new URL("worker.ts", import.meta.url), [JSON.stringify(options)]);
  let chunk: Chunk | undefined;
  const goOn = () => {
    chunk = next();
    if (chunk === undefined) child.disconnect();
    else child.send(chunk);
  };
  return new Promise((resolve, reject) => {
    child.on("message", (totals: Totals) => {
      if (chunk !== undefined) add(chunk, totals);
      goOn();
    });
    child.on("exit", (code) => {
      if (chunk === undefined) resolve();
      else reject(new Error(`the process that simulates the schedules from ${chunk.first} on ended with ${code}`));
    });
    goOn();
  });
}
