// One of several processes that share the limits. Its calls arrive as planned, and it answers how long each took.

import { encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { askAll, type Call, seededRandom, zipfScheduleOf } from "../calls.ts";
import { answerParent } from "../children.ts";
import { instants, OpenLoop } from "../open-loop.ts";
import { WAYS } from "./ways.ts";

/** One way's turn. */
export interface Turn {
  readonly way: number;
  /** The same for each way of a round, and so are the arrivals. */
  readonly seed: number;
  readonly startMs: number;
  readonly forMs: number;
  readonly perSecond: number;
}

/** The result of a turn. */
export interface Turned {
  /** Of microseconds, as hdr-histogram-js encodes it. */
  readonly histogram: string;
  readonly admitted: number;
  readonly calls: number;
}

const SESSIONS = 10_000;
const WARM_UP_IN_FLIGHT = 8;

const [port = 0, warmUpCalls = 0] = process.argv.slice(2).map(Number);
const loop = new OpenLoop();
await loop.ready();
const answers = await Promise.all(WAYS.map((way) => way.open(port)));
// As a process that has run for a while: connected, scripts loaded, code compiled.
const warmUp = zipfScheduleOf(SESSIONS, warmUpCalls);
for (const answer of answers)
  await askAll(warmUp, WARM_UP_IN_FLIGHT, { decide: answer, allows: (isAdmitted) => isAdmitted });

answerParent(async ({ way, seed, startMs, forMs, perSecond }: Turn): Promise<Turned> => {
  const planMs: number[] = [];
  const next = instants(startMs, perSecond, seededRandom(seed));
  for (let atMs = next(); atMs < startMs + forMs; atMs = next()) planMs.push(atMs);
  const calls = zipfScheduleOf(SESSIONS, planMs.length, seed);
  const answer = answers[way];
  if (answer === undefined) throw new Error(`there is no way ${way}`);
  let admitted = 0;
  const histogram = await loop.run(planMs, async (i) => {
    if (await answer(calls[i] as Call)) admitted++;
  });
  return { histogram: encodeIntoCompressedBase64(histogram), admitted, calls: calls.length };
});
