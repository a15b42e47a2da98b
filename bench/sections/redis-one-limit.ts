// Redis, one limit: beside rate-limiter-flexible and beside INCR, by both clients.

import { spawnSync } from "node:child_process";
import { ONE, PEER } from "../calls.ts";
import { median, number } from "../harness.ts";
import { ALONE, CLIENT_NAMES } from "../redis-contenders.ts";
import { IN_FLIGHT, PIPELINED, raceOnRedis } from "../redis-speed.ts";
import { atLeast, type Section, speedNamed, speedTables } from "../section.ts";

const ROUNDS = 5;
const TIMES_THE_PEER = 3;
const TIMES_INCR = 2;
/** The server's own benchmark, which uses no client library. */
const TOOL = "redis-benchmark";
const TOOL_FLAGS = [
  ["-c", "50"],
  ["-c", "50", "-P", "16"],
];

export const section: Section = {
  title: "Redis, one limit",
  needs: ["redis"],
  meaning: `All contenders take turns, each in a process of its own, on one Redis without persistence on loopback, with ${IN_FLIGHT}
calls in flight. In each round they get new connections, an empty Redis and new strings. Tollgate gets a new limiter each
round, with its default options and once without failover; it is closed before Redis is emptied.

${PEER} is the atomic \`RateLimiterRedis\` with the settings of its documentation: ioredis without an offline queue,
autopipelining, and \`inMemoryBlockOnConsumed\`, which denies the calls of a spent key without asking Redis. Through
node-redis it sends the text of its script with each call.

INCR only counts: no expiry, no times, and a denied call stays counted. "${ALONE}" is one write for each call with
ioredis. node-redis joins the commands of one tick, so there it is 50 connections with one call in flight on each.
${TOOL} is the server's own program in C, on other keys.

On loopback a round trip costs almost nothing; over a network all contenders get slower. With few calls in flight there
is little to send together, and the ratios get smaller.`,

  async measure(isShort) {
    const count = isShort ? 20_000 : 300_000;
    const { speeds, goals, headlines, work, more } = await raceOnRedis(isShort, {
      name: "one limit",
      limits: ONE,
      rounds: ROUNDS,
      timesThePeer: TIMES_THE_PEER,
      more: ({ port }) =>
        TOOL_FLAGS.map((flags) => {
          const rounds = callsPerSecond(port, count, flags, isShort ? 1 : 3);
          return { name: [TOOL, ...flags].join(" "), value: median(rounds) };
        }),
    });
    const floors = more.filter(({ value }) => Number.isFinite(value));
    const overIncr = CLIENT_NAMES.map((client) => {
      const group = `one limit, ${client}`;
      const alone = speedNamed(speeds, group, ALONE);
      const times = speedNamed(speeds, group, PIPELINED[client]).ratio / alone.ratio;
      const reason = `INCR sent together, without any decision, is ${times.toFixed(1)} times as fast as that.`;
      return atLeast(`${group}: times as many as ${ALONE}`, TIMES_INCR, 1 / alone.ratio, reason);
    });
    return {
      work,
      headlines,
      goals: [...goals, ...overIncr],
      tables: [
        ...speedTables(speeds),
        {
          head: ["INCR by the server's own program", "calls/s"],
          rows: floors.map(({ name, value }) => [name, number(value)]),
        },
      ],
    };
  },
};

/** By the server's own program, run by run; nothing where it is not installed. */
function callsPerSecond(port: number, calls: number, flags: readonly string[], runs: number): number[] {
  const args = ["-p", String(port), "-t", "incr", "-n", String(calls), "-r", "10000", ...flags, "--csv"];
  return Array.from({ length: runs }, () => {
    const { stdout } = spawnSync(TOOL, args, { encoding: "utf8", timeout: 60_000 });
    return Number(/"INCR","([0-9.]+)"/.exec(stdout ?? "")?.[1]);
  }).filter(Number.isFinite);
}
