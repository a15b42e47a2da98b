// One of several processes that share the limits: calls arrive as planned, and it says how long after that they were answered.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { build, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { askAll, type Call, seededRandom, zipfScheduleOf } from "../calls.ts";
import { monotonicMs, type Plan } from "./arrivals.ts";
import { WAYS } from "./ways.ts";

/** Asks for one way's turn. */
export interface Turn {
  readonly way: number;
  /** The same for each way of a round, so that the arrivals are. */
  readonly seed: number;
  readonly startMs: number;
  readonly forMs: number;
  readonly perSecond: number;
}

/** What a turn came to: a histogram of microseconds, as hdr-histogram-js writes it. */
export interface Turned {
  readonly histogram: string;
  readonly admitted: number;
  readonly calls: number;
}

const SESSIONS = 10_000;
const LONGEST_US = 60_000_000;
const WARM_UP_IN_FLIGHT = 8;

const [port = 0, warmUpCalls = 0] = process.argv.slice(2).map(Number);
const arrivals = new Worker(new URL("arrivals.ts", import.meta.url));
await once(arrivals, "online");
const opened = await Promise.all(WAYS.map((way) => way.open(port)));
// As a process that has run for a while: connected, scripts known, code compiled.
const warmUp = zipfScheduleOf(SESSIONS, warmUpCalls);
for (const { answer } of opened)
  await askAll(warmUp, WARM_UP_IN_FLIGHT, { decide: answer, allows: (isAdmitted) => isAdmitted });

/** As many as there are in that time by chance: calls that know nothing of each other (Poisson). */
function planOf({ seed, startMs, forMs, perSecond }: Turn): Plan {
  const random = seededRandom(seed);
  const plan: number[] = [];
  for (let atMs = startMs; ; plan.push(atMs)) {
    atMs += (-Math.log(1 - random()) * 1_000) / perSecond;
    if (atMs >= startMs + forMs) return plan;
  }
}

async function take(turn: Turn): Promise<Turned> {
  const plan = planOf(turn);
  const calls = zipfScheduleOf(SESSIONS, plan.length, turn.seed);
  const answering = opened[turn.way];
  if (answering === undefined) throw new Error(`there is no way ${turn.way}`);
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
  });
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  let [arrived, answered, admitted] = [0, 0, 0];
  const answer = async (plannedMs: number, call: Call) => {
    if (await answering.answer(call)) admitted++;
    histogram.recordValue(Math.max(1, Math.round((monotonicMs() - plannedMs) * 1_000)));
    if (++answered === calls.length) resolve();
  };
  const arrive = (plannedMs: number) => {
    const call = calls[arrived++];
    if (call !== undefined) answer(plannedMs, call).catch(reject);
  };
  arrivals.on("message", arrive);
  arrivals.postMessage(plan);
  if (calls.length > 0) await done;
  arrivals.off("message", arrive);
  return { histogram: encodeIntoCompressedBase64(histogram), admitted, calls: calls.length };
}

process.on("message", async (turn: Turn) => process.send?.(await take(turn)));
process.on("disconnect", () => process.exit());
process.send?.("ready");
