// Inside Redis: how long decisions take there, alone and in batches of 64. Redis runs one command at a time, so this is the bound
// of all instances together.

import { arrivingAgain, type Limit, ONE, PEER, roomy, scheduleOf, THREE } from "../calls.ts";
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
const CHOSEN_ALONE = ["Tollgate", "Tollgate, failover: false", PEER, ALONE];
const US_ALONE = 15;
const US_A_DECISION = 20;
const TIMES_INCR = 6;
const US_A_RESERVATION = 35;
const US_OVER_SEVEN = 50;

export const section: Section = {
  title: "Inside Redis",
  needs: ["redis"],
  meaning: `Calls that come alone, and ${BATCH} calls in flight, which Tollgate sends as one script. "µs" is the wall time of the commands that decide,
from \`INFO commandstats\`, so a busy machine makes it longer. "Processor µs" is the time of the whole server, from \`INFO
cpu\`: it also reads and answers, which many small commands pay for. With three limits an INCR is three, one for each. A
reservation is over the same three limits, each under an idempotency key of its own, so Redis also keeps its answer.
Seven limits are of all kinds: a token bucket, a calendar window, and calls in progress, held while a function runs.`,

  async measure(isShort) {
    const { sessions, calls: count, rounds } = isShort ? SHORT : FULL;
    const calls = scheduleOf(sessions, count);
    const some = calls.slice(0, count >> 2);
    await using server = await startRedis({ ownCore: true });
    const costsOf = (names: readonly string[], limits: readonly Limit[], inFlight: number) => {
      const field = redisContenders("ioredis", "inside Redis", { server, limits, inFlight });
      const contenders = names.flatMap((name) => field.filter((each) => each.name === name));
      const asked = inFlight === 1 ? some : calls;
      return inTurn(contenders, rounds, (contender) =>
        inRound(contender, asked, (decideAll) => costOf(server, asked.length, decideAll)),
      );
    };
    const alone = await costsOf(CHOSEN_ALONE, roomy(ONE), 1);
    const together = await costsOf(CHOSEN, THREE, BATCH);
    const [held = []] = await inTurn([holdTimes], rounds, (times) => times(server, some.map(arrivingAgain)));
    const [seven = []] = await inTurn([sevenLimits], rounds, (times) => times(server, some.map(arrivingAgain)));

    const microsOf = (costs: readonly Cost[] = []) => costs.map(({ microseconds }) => microseconds);
    const [ownAlone] = alone.map(microsOf);
    const [own = [], , , incr = []] = together.map(microsOf);
    const reserve = median(held.map((each) => each.reserve));
    const settle = median(held.map((each) => each.settle));
    const ofSeven = median(seven.map((each) => each.microseconds));
    const commands = median(seven.map((each) => each.commands)).toFixed(3);
    const head = ["commands per decision", "µs per decision", "processor µs, with the network"];
    return {
      work: `${number(count)} calls of ${number(sessions)} sessions in one random order, ${BATCH} in flight; a quarter of them alone`,
      goals: [
        atMost(
          "one limit, inside Redis: µs per decision that comes alone",
          US_ALONE,
          median(ownAlone ?? []),
          "Decision 74 says what it does, and what the least script takes that does as much.",
        ),
        atMost("three limits, inside Redis: µs per decision", US_A_DECISION, median(own)),
        atMost(
          "three limits, inside Redis: times three INCRs",
          TIMES_INCR,
          ratioOf(own, incr),
          `${partsOf(together[0] ?? [])} An INCR reads no end and sets none.`,
        ),
        atMost(
          "three limits, inside Redis: µs per reservation under a key",
          US_A_RESERVATION,
          reserve,
          partsOf(held.map((each) => ({ microseconds: each.reserve, called: each.called }))),
        ),
        atMost("seven limits, inside Redis: µs per decision", US_OVER_SEVEN, ofSeven, partsOf(seven)),
      ],
      tables: [
        {
          head: ["one limit, inside Redis, one call after the other", ...head],
          drawn: 2,
          rows: CHOSEN_ALONE.map((name, i) => rowOf(name, alone[i] ?? [])),
        },
        {
          head: [`three limits, inside Redis, ${BATCH} in flight`, ...head],
          drawn: 2,
          rows: CHOSEN.map((name, i) => rowOf(name, together[i] ?? [])),
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

/** Why a decision takes so long: what passes in Redis's own commands, and what in the script around them. */
function partsOf(costs: readonly Pick<Cost, "microseconds" | "called">[]): string {
  const [all, called] = [median(costs.map((each) => each.microseconds)), median(costs.map((each) => each.called))];
  return `Of ${all.toFixed(1)} µs, ${called.toFixed(1)} pass in the commands that the script calls, and the rest in Lua.`;
}

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
