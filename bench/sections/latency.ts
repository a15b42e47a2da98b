// How long calls take at a steady load from several processes, beside a PING that arrives at the same instants.

import { decodeFromCompressedBase64, type Histogram } from "hdr-histogram-js";
import { startChildren } from "../children.ts";
import { median, number, ratioOf, spread } from "../harness.ts";
import type { Turn, Turned } from "../latency/instance.ts";
import { PING, WAYS } from "../latency/ways.ts";
import { PEER } from "../calls.ts";
import { monotonicMs, newHistogram } from "../open-loop.ts";
import { checkAdmitted, inTurn } from "../race.ts";
import { atMost, type Section } from "../section.ts";
import { startRedis } from "../servers.ts";

const PROCESSES = 4;
const PER_SECOND = 500;
const FULL = { forMs: 2_000, rounds: 5, warmUpCalls: 20_000 };
const SHORT = { forMs: 300, rounds: 1, warmUpCalls: 100 };
/** Until all processes know their turn. */
const AHEAD_MS = 50;
const TIMES_PING = 1.5;
const OWN = "Tollgate, three limits";
const OTHER = `${PEER}, three limits, Promise.all`;
const TO_PING = ["Tollgate, one limit", OWN];
const TO_OTHER = { percentiles: [50, 99], times: 1 };
const WHY_SLOW = `${PROCESSES} processes, their threads and Redis share the cores, so the slowest calls wait for a core, and a decision needs one for longer than a PING.`;
const WHY_SLOWER =
  "Nearly every call comes alone, and after a pause, so that the processor has to fetch all code that decides: decision 74.";
const PERCENTILES = [50, 99, 99.9];

export const section: Section = {
  title: "Latency",
  needs: ["redis"],
  meaning: `${PROCESSES} processes with ${PER_SECOND} calls a second each, by ioredis, each with its own connection. Calls
arrive at random instants that were planned ahead (an open loop), and a latency counts from the planned instant. So a
late answer delays no arrival and hides no waiting. In each round all ways get the same arrivals, one way after the
other. Percentiles are those of the processes' histograms together; the ratio is the median of the rounds' ratios.
"Nothing at all" is the time that an arrival itself takes, which is part of every figure: threads wake up late on few
shared cores. A call rarely arrives while another is in flight, so there is almost nothing to send together. All calls
are admitted, because calls of several processes have no order.`,

  async measure(isShort) {
    const { forMs, rounds, warmUpCalls } = isShort ? SHORT : FULL;
    await using server = await startRedis();
    using children = await startChildren<Turn, Turned>(new URL("../latency/instance.ts", import.meta.url), {
      args: [String(server.port), String(warmUpCalls)],
      count: PROCESSES,
    });
    let turns = 0;
    const histograms = await inTurn(WAYS, rounds, async (way): Promise<Histogram> => {
      // The same seeds for all ways of a round.
      const round = Math.floor(turns++ / WAYS.length);
      const turn = { way: WAYS.indexOf(way), startMs: monotonicMs() + AHEAD_MS, forMs, perSecond: PER_SECOND };
      const seeds = Array.from({ length: PROCESSES }, (_, i) => round * PROCESSES + i + 1);
      const turned = await children.ask(seeds.map((seed) => ({ ...turn, seed })));
      const histogram = newHistogram();
      for (const { histogram: encoded, admitted, calls } of turned) {
        checkAdmitted(way, admitted, calls);
        histogram.add(decodeFromCompressedBase64(encoded));
      }
      return histogram;
    });
    const at = (percentile: number, some: readonly Histogram[] = []) =>
      some.map((each) => each.getValueAtPercentile(percentile));
    const of = (wanted: string) => histograms[WAYS.findIndex(({ name }) => name === wanted)];
    const ping = at(99, of(PING));
    const rows = WAYS.map(({ name }, i) => {
      const p99s = at(99, histograms[i]);
      const percentiles = PERCENTILES.map((percentile) => median(at(percentile, histograms[i])));
      return { name, p99s, percentiles, ratio: ratioOf(p99s, ping) };
    });
    return {
      work: `${PROCESSES} processes, ${number(PROCESSES * PER_SECOND)} calls a second together, ${forMs} ms a turn`,
      goals: [
        ...rows
          .filter(({ name }) => TO_PING.includes(name))
          .map(({ name, ratio }) => atMost(`p99 of ${name}, to that of a PING`, TIMES_PING, ratio, WHY_SLOW)),
        ...TO_OTHER.percentiles.map((percentile) => {
          const ratio = ratioOf(at(percentile, of(OWN)), at(percentile, of(OTHER)));
          return atMost(`p${percentile} of ${OWN}, to that of ${OTHER}`, TO_OTHER.times, ratio, WHY_SLOWER);
        }),
      ],
      tables: [
        {
          drawn: 2,
          head: ["latency, µs", "p50", "p99", "p99.9", "p99, lowest to highest round", "p99 to PING"],
          rows: rows.map(({ name, percentiles, p99s, ratio }) => {
            return [name, ...percentiles.map(number), spread(p99s), ratio.toFixed(2)];
          }),
        },
      ],
    };
  },
};
