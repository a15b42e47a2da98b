// How long callers wait at a steady load from several processes, against a PING that arrives at the same instants.

import { build, decodeFromCompressedBase64, type Histogram } from "hdr-histogram-js";
import { startChildren } from "../children.ts";
import { median, number } from "../harness.ts";
import { monotonicMs } from "../latency/arrivals.ts";
import type { Turn, Turned } from "../latency/instance.ts";
import { PING, WAYS } from "../latency/ways.ts";
import { inTurn, ratioOf } from "../race.ts";
import { startRedis } from "../redis-server.ts";
import type { Goal, Section } from "../section.ts";

const PROCESSES = 4;
const PER_SECOND = 500;
const FULL = { forMs: 2_000, rounds: 5, warmUpCalls: 20_000 };
const SHORT = { forMs: 300, rounds: 1, warmUpCalls: 100 };
/** So that all processes have heard of it. */
const AHEAD_MS = 50;
const TIMES_PING = 1.5;
const GOALS = ["Tollgate, one limit", "Tollgate, three limits"];
const TRACKED = {
  lowestDiscernibleValue: 1,
  highestTrackableValue: 60_000_000,
  numberOfSignificantValueDigits: 3,
} as const;

export const section: Section = {
  title: "Latency",
  needs: "redis",
  meaning: `${PROCESSES} processes with ${PER_SECOND} calls a second each. Calls arrive at instants that were planned
ahead, by chance and independent of each other (an open loop), and a latency counts from the planned instant: who
answers late delays no arrival and hides no waiting. In each round all ways get the very same arrivals, one way
after the other, by ioredis and a connection of its own in each process. Percentiles are those of the four processes'
histograms together; the ratio is the median of the rounds'. "Nothing at all" is what an arrival itself takes, which is
in every figure: threads wake up late on few cores that are shared. A call arrives rarely while another is under way, so
there is next to nothing to send together. All calls are admitted, since there is no order among processes.`,

  async measure(isShort) {
    const { forMs, rounds, warmUpCalls } = isShort ? SHORT : FULL;
    const server = await startRedis();
    const children = await startChildren<Turn, Turned>(
      new URL("../latency/instance.ts", import.meta.url),
      [String(server.port), String(warmUpCalls)],
      PROCESSES,
    );
    try {
      const histograms = WAYS.map((): Histogram[] => []);
      let turns = 0;
      const p99s = await inTurn(WAYS, rounds, async ({ name }, way, isWarmUp) => {
        // The same for all ways of a round.
        const round = Math.floor(turns++ / WAYS.length);
        const startMs = monotonicMs() + AHEAD_MS;
        const turned = await children.ask(
          Array.from({ length: PROCESSES }, (_, i) => ({
            way,
            seed: round * PROCESSES + i + 1,
            startMs,
            forMs,
            perSecond: PER_SECOND,
          })),
        );
        const histogram = build(TRACKED);
        for (const { histogram: encoded, admitted, calls } of turned) {
          if (admitted !== calls) throw new Error(`${name}: admitted ${admitted} of ${calls} calls, must admit all`);
          histogram.add(decodeFromCompressedBase64(encoded));
        }
        if (!isWarmUp) histograms[way]?.push(histogram);
        return histogram.getValueAtPercentile(99);
      });
      const ping = p99s[WAYS.findIndex(({ name }) => name === PING)] ?? [];
      const ratios = p99s.map((each) => ratioOf(each, ping));
      const rows = WAYS.map(({ name, kind }, i) => ({
        name,
        kind,
        p99s: p99s[i] ?? [],
        ratio: ratios[i] ?? Number.NaN,
      }));
      const percentiles = histograms.map((each) => [50, 99, 99.9].map((percentile) => atPercentile(each, percentile)));
      return {
        work: `${PROCESSES} processes, ${number(PROCESSES * PER_SECOND)} calls a second together, ${forMs} ms a turn`,
        goals: rows
          .filter(({ name }) => GOALS.includes(name))
          .map(({ name, ratio }): Goal => {
            return { what: `p99 of ${name}, to that of a PING`, bound: "at most", wanted: TIMES_PING, measured: ratio };
          }),
        tables: [
          {
            head: ["latency, µs", "p50", "p99", "p99.9", "p99, lowest to highest round", "p99 to PING"],
            rows: rows.map(({ name, p99s, ratio }, i) => {
              const spread = `${number(Math.min(...p99s))} to ${number(Math.max(...p99s))}`;
              return [name, ...(percentiles[i] ?? []).map(number), spread, ratio.toFixed(2)];
            }),
          },
        ],
        panel: {
          title: "p99 in µs, shorter is better",
          bars: rows.map(({ name, kind, p99s }) => ({ name, kind, value: median(p99s) })),
        },
        rounds: rows.map((row, i) => ({ ...row, percentiles: percentiles[i] })),
      };
    } finally {
      children.close();
      await server.stop();
    }
  },
};

/** The median of the rounds'. */
const atPercentile = (histograms: readonly Histogram[], percentile: number) =>
  median(histograms.map((each) => each.getValueAtPercentile(percentile)));
