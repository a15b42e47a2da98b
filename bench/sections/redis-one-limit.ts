// Redis, one limit: beside rate-limiter-flexible and beside INCR, by both clients.

import { spawnSync } from "node:child_process";
import { ONE, PEER } from "../calls.ts";
import { median, number } from "../harness.ts";
import { ALONE } from "../redis-contenders.ts";
import { CLIENTS, IN_FLIGHT, raceOnRedis, timesThePeer } from "../redis-speed.ts";
import { type Bar, type Goal, type Section, speedBars, speedNamed, speedTables } from "../section.ts";

const ROUNDS = 5;
const TIMES_THE_PEER = 6;
const TIMES_INCR = 2;
/** Clients of the server's own benchmark, which speaks for no language's client. */
const TOOL = "redis-benchmark";
const FLOORS = [
  ["-c 50", []],
  ["-c 50 -P 16", ["-P", "16"]],
] as const;

export const section: Section = {
  title: "Redis, one limit",
  needs: "redis",
  meaning: `One Redis without persistence on this machine's loopback. All contenders take turns in one process, each
with connections of its own, an emptied Redis and fresh strings each round, and ${IN_FLIGHT} calls in flight. Tollgate
is made new each round, with the options that it has by default and once without its failover, and closed before Redis
is emptied.

${PEER} is the atomic \`RateLimiterRedis\` with the settings that its documentation names: ioredis without an offline
queue, autopipelining, and \`inMemoryBlockOnConsumed\`, by which it denies the calls of a spent key without asking.
Through node-redis it sends its script's text with each call.

INCR counts and does nothing else: no expiry, no times, and a denied call stays counted. "${ALONE}" is by ioredis one
write for each; node-redis joins what one tick asks, so there it is 50 connections with one call under way on each.
${TOOL} is the server's own program in C, on keys of its own.

On loopback a round trip costs next to nothing; over a network all of them get slower. With few calls in flight there is
little to send together, and the ratios get smaller.`,

  async measure(isShort) {
    const asked = isShort ? 20_000 : 300_000;
    const { speeds, work, more } = await raceOnRedis(ONE, { isShort, rounds: ROUNDS }, async ({ port }) =>
      FLOORS.map(([name, flags]) => ({ name: `${TOOL} ${name}`, rounds: floor(port, asked, flags, isShort ? 1 : 3) })),
    );
    const floors = more.filter(({ rounds }) => rounds.length > 0);
    const overIncr = CLIENTS.map((client): Goal => {
      const what = `one limit, ${client}: times as many as ${ALONE}`;
      return { what, bound: "at least", wanted: TIMES_INCR, measured: 1 / speedNamed(speeds, client, ALONE).ratio };
    });
    const lines = {
      head: ["INCR by the server's own program", "calls/s"],
      rows: floors.map(({ name, rounds }) => [name, number(median(rounds))]),
    };
    const bars = floors.map(({ name, rounds }): Bar => ({ name, kind: "floor", value: median(rounds) }));
    return {
      work,
      goals: [...timesThePeer(speeds, "one limit", TIMES_THE_PEER), ...overIncr],
      tables: [...speedTables(speeds), ...(floors.length > 0 ? [lines] : [])],
      panel: { title: "decisions/s, longer is better", bars: [...speedBars(speeds), ...bars] },
      rounds: { speeds, floors },
    };
  },
};

/** Calls per second, run by run; none where the program is not there. */
function floor(port: number, calls: number, flags: readonly string[], runs: number): number[] {
  const args = ["-p", String(port), "-t", "incr", "-n", String(calls), "-r", "10000", "-c", "50", ...flags, "--csv"];
  return Array.from({ length: runs }, () => {
    const { stdout } = spawnSync(TOOL, args, { encoding: "utf8", timeout: 60_000 });
    return Number(/"INCR","([0-9.]+)"/.exec(stdout ?? "")?.[1]);
  }).filter(Number.isFinite);
}
