// Simulates in a thread of its own, so that no decision waits for it. The log is read here, since it may be in the memory of this
// process: page by page, with a turn of the event loop for everything else after each.

import type { Worker } from "node:worker_threads";
import { countdown, inNextTurn } from "../clock.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { LogReader } from "../log/storage.ts";
import { decisionPages, type RecordedCall } from "../simulate/readers/decision-log.ts";
import type { FromSimulation, Played, SimulationSources, ToSimulation } from "./simulation-messages.ts";

/** As deep as the chunks of the package, so that the path is right there, too. */
const ENTRY = new URL(
  `../service-log/simulation-worker-node${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`,
  import.meta.url,
);
/** The program's own may be wrong for a file, such as `--input-type`. */
const NO_FLAGS: string[] = [];
const MAX_MEMORY = { maxOldGenerationSizeMb: 1_024 };
/** Most calls that are simulated at once: the newest. */
const MAX_CALLS = 200_000;
/** How long the log is read. */
const READS_MS = 10_000;
/** Such a page takes some 3 ms here. */
const PAGE_SIZE = 500;

export interface SimulationAsked extends SimulationSources {
  readonly reader: LogReader;
  readonly fromMs: number;
  /** Absent: until now. */
  readonly toMs?: number;
  /** Default 200,000. */
  readonly maxCalls?: number;
}

/**
 * Plays the calls of a log under two policies.
 *
 * @param signal ends it, and then its reason is thrown
 * @throws MisuseError `invalid-policy`; StoreError of the log; what ends the thread
 */
export async function simulateLog(asked: SimulationAsked, signal: AbortSignal): Promise<Played> {
  signal.throwIfAborted();
  const { source, against } = asked;
  // Asked for here, so that programs for runtimes without threads can be bundled with the routes.
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const worker = new Worker(ENTRY, {
    workerData: { source, against } satisfies SimulationSources,
    execArgv: NO_FLAGS,
    resourceLimits: MAX_MEMORY,
  });
  const { promise, resolve, reject } = Promise.withResolvers<Played>();
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop);
  worker.on("error", reject);
  worker.on("exit", () => reject(new Error("the thread of the simulation has ended")));
  worker.on("message", (message: FromSimulation) => {
    if (message.type === "ready") feed(worker, asked, signal).catch(reject);
    else if (message.type === "misuse") reject(new MisuseError(message.code, message.faults));
    else resolve(message.played);
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", stop);
    await worker.terminate();
  }
}

/** Gives the thread what the log has. It ends with the thread, and with `signal`. */
async function feed(worker: Worker, asked: SimulationAsked, signal: AbortSignal): Promise<void> {
  const { reader, fromMs, toMs, maxCalls = MAX_CALLS } = asked;
  const say = (message: ToSimulation) => worker.postMessage(message);
  const span = { tenants: null, fromMs, ...(toMs === undefined ? {} : { toMs }) };
  const leftMs = countdown(READS_MS);
  let left = maxCalls;
  for await (const page of decisionPages(reader, span, PAGE_SIZE)) {
    if (signal.aborted) return;
    say({ entries: page.slice(0, left).map(recorded) });
    left -= page.length;
    if (left < 0 || leftMs() === 0) return say({ isCut: true });
    await new Promise<void>(inNextTurn);
  }
  say({ isCut: false });
}

/** An entry without what a simulation does not need: it is copied to the thread. */
function recorded({
  tool,
  dimensions,
  argsHash,
  atMs,
  allowed,
  replayed,
  weight,
  verdicts,
}: RecordedCall): RecordedCall {
  const costs = verdicts.flatMap(({ unit, cost }) => (cost > 0 && unit !== "calls" ? [{ unit, cost }] : []));
  return { tool, dimensions, argsHash, atMs, allowed, replayed, weight, verdicts: costs };
}
