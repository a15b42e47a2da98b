// Inside Redis: how long decisions take there, in batches of 64. Redis runs one command at a time, so this is the bound of
// all instances together.

import { arrivingAgain, PEER, scheduleOf, THREE } from "../calls.ts";
import { median, number, ratioOf } from "../harness.ts";
import { inRound, inTurn } from "../race.ts";
import { ALONE, redisContenders } from "../redis-contenders.ts";
import { type Cost, costOf } from "../redis-cost.ts";
import { BATCH, holdTimes, sevenLimits } from "../redis-holds.ts";
import { atMost, type Section } from "../section.ts";
import { startRedis } from "../servers.ts";

const FULL = { sessions: 10_000, calls: 80_000, rounds: 4 };
const SHORT = { sessions: 160, calls: 1_280, rounds: 1 };
const CHOSEN = ["Tollgate", "Tollgate, failover: false", `${PEER}, Promise.all`, ALONE];
const US_A_DECISION = 20;
const TIMES_INCR = 6;
const US_A_RESERVATION = 35;
const US_OVER_SEVEN = 50;

export const section: Section = {
  title: "Inside Redis",
  needs: "redis",
  meaning: `${BATCH} calls in flight, which Tollgate sends as one script. "µs" is the wall time of the commands that decide,
from \`INFO commandstats\`, so a busy machine makes it longer. "Processor µs" is the time of the whole server, from \`INFO
cpu\`: it also reads and answers, which many small commands pay for. An INCR here is three, one for each limit. A
reservation is over the same three limits, each under an idempotency key of its own, so Redis also keeps its answer.
Seven limits are of all kinds: a token bucket, a calendar window, and calls in progress, held while a function runs.`,

  async measure(isShort) {
    const { sessions, calls: count, rounds } = isShort ? SHORT : FULL;
    const calls = scheduleOf(sessions, count);
    await using server = await startRedis();
    const field = redisContenders("ioredis", "three limits", { server, limits: THREE, inFlight: BATCH });
    const contenders = CHOSEN.flatMap((name) => field.filter((each) => each.name === name));
    const costs = await inTurn(contenders, rounds, (contender) =>
      inRound(contender, calls, (decideAll) => costOf(server, calls.length, decideAll)),
    );
    const some = calls.slice(0, count >> 2);
    const [held = []] = await inTurn([holdTimes], rounds, (times) => times(server, some.map(arrivingAgain)));
    const [seven = []] = await inTurn([sevenLimits], rounds, (times) => times(server, some.map(arrivingAgain)));

    const micros = costs.map((each) => each.map(({ microseconds }) => microseconds));
    const [own = [], , , incr = []] = micros;
    const reserve = median(held.map((each) => each.reserve));
    const settle = median(held.map((each) => each.settle));
    const ofSeven = median(seven.map((each) => each.microseconds));
    const commands = median(seven.map((each) => each.commands)).toFixed(3);
    return {
      work: `${number(count)} calls of ${number(sessions)} sessions in one random order, ${BATCH} in flight`,
      goals: [
        atMost("three limits, inside Redis: µs per decision", US_A_DECISION, median(own)),
        atMost("three limits, inside Redis: times three INCRs", TIMES_INCR, ratioOf(own, incr)),
        atMost("three limits, inside Redis: µs per reservation under a key", US_A_RESERVATION, reserve),
        atMost("seven limits, inside Redis: µs per decision", US_OVER_SEVEN, ofSeven),
      ],
      tables: [
        {
          head: [
            `three limits, inside Redis, ${BATCH} in flight`,
            "commands per decision",
            "µs per decision",
            "processor µs, with the network",
          ],
          drawn: 2,
          rows: contenders.map(({ name }, i) => rowOf(name, costs[i] ?? [])),
        },
        {
          head: [`reservations, or seven limits, in batches of ${BATCH}`, "µs inside Redis"],
          rows: [
            ["reserve, under an idempotency key", reserve.toFixed(1)],
            ["settle", settle.toFixed(1)],
            [`a decision over seven limits, ${commands} commands each`, ofSeven.toFixed(1)],
          ],
        },
      ],
    };
  },
};

function rowOf(name: string, costs: readonly Cost[]): string[] {
  const medianOf = (field: keyof Cost) => median(costs.map((cost) => cost[field]));
  const commands = medianOf("commands");
  return [
    name,
    commands < 1 ? `1/${(1 / commands).toFixed(1)}` : commands.toFixed(1),
    medianOf("microseconds").toFixed(1),
    medianOf("processor").toFixed(1),
  ];
}
