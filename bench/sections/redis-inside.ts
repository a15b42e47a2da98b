// Inside Redis: microseconds that decisions take there, in batches of 64. Redis does one thing at a time, so this is what
// bounds all instances together.

import { arrivingAgain, type Call, PEER, scheduleOf, THREE } from "../calls.ts";
import { median, number, progress } from "../harness.ts";
import { type Contender, inTurn, ratioOf } from "../race.ts";
import { ALONE, ioredisContenders } from "../redis-contenders.ts";
import { type Cost, costOf } from "../redis-cost.ts";
import { BATCH, holdTimes, sevenLimits } from "../redis-holds.ts";
import { type RedisServer, startRedis } from "../redis-server.ts";
import type { Bar, Goal, Section } from "../section.ts";

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
  meaning: `${BATCH} calls in flight, which Tollgate sends as one script. µs are those of the server's \`INFO
commandstats\` for the commands that decide, by the clock, so that a busy machine makes them more; processor µs are
those of \`INFO cpu\` for the whole server, which also reads and answers: that is where many small commands pay. An INCR
here is three, one a limit. A reservation is over the same three limits, each under an idempotency key of its own, so
that it also keeps its answer; seven limits are of all kinds, with a token bucket, a calendar window and calls under
way, held while a function runs.`,

  async measure(isShort) {
    const { sessions, calls: count, rounds } = isShort ? SHORT : FULL;
    const calls = scheduleOf(sessions, count);
    const server = await startRedis();
    try {
      const field = ioredisContenders("three limits", { server, limits: THREE, inFlight: BATCH });
      const contenders = CHOSEN.flatMap((name) => field.filter((each) => each.name === name));
      const costs = contenders.map((): Cost[] => []);
      const taken = await inTurn(contenders, rounds, async (contender, i, isWarmUp) => {
        const cost = await costOfAll(server, contender, calls);
        if (!isWarmUp) costs[i]?.push(cost);
        return cost.microseconds;
      });
      const holds = calls.slice(0, count >> 2);
      const held = await repeated("holds", rounds, () => holdTimes(server, holds.map(arrivingAgain)));
      const seven = await repeated("seven limits", rounds, () => sevenLimits(server, holds.map(arrivingAgain)));
      const [own = []] = taken;
      const incr = taken[CHOSEN.indexOf(ALONE)] ?? [];
      const [reserve, settle, ofSeven] = [
        median(held.map((each) => each.reserve)),
        median(held.map((each) => each.settle)),
        median(seven.map((each) => each.microseconds)),
      ];
      return {
        work: `${number(count)} calls of ${number(sessions)} sessions in one random order, ${BATCH} in flight`,
        goals: [
          atMost("three limits, inside Redis: µs per decision", US_A_DECISION, median(own)),
          atMost("three limits, inside Redis: times three INCRs", TIMES_INCR, ratioOf(own, incr)),
          atMost("three limits, inside Redis: µs per reservation under a key", US_A_RESERVATION, reserve),
          atMost("seven limits, inside Redis: µs per decision", US_OVER_SEVEN, ofSeven),
        ],
        tables: [costTable(costs), timesTable(reserve, settle, ofSeven, median(seven.map((each) => each.commands)))],
        panel: {
          title: "µs inside Redis per decision, shorter is better",
          bars: [
            ...contenders.map(({ name, kind }, i): Bar => ({ name, kind, value: median(taken[i] ?? []) })),
            { name: "Tollgate, reserve under a key", kind: "tollgate", value: reserve },
            { name: "Tollgate, seven limits", kind: "tollgate", value: ofSeven },
          ],
        },
        rounds: { contenders: CHOSEN.map((name, i) => ({ name, costs: costs[i] })), held, seven },
      };
    } finally {
      await server.stop();
    }
  },
};

const atMost = (what: string, wanted: number, measured: number): Goal => ({ what, bound: "at most", wanted, measured });

async function costOfAll(server: RedisServer, { name, mustAdmit, open }: Contender, calls: readonly Call[]) {
  const { run, close } = await open(calls.map(arrivingAgain));
  const expected = mustAdmit(calls);
  let admitted = 0;
  const cost = await costOf(server, calls.length, async () => {
    admitted = await run();
  });
  await close();
  if (admitted !== expected) throw new Error(`${name}: admitted ${admitted} calls, must admit ${expected}`);
  return cost;
}

async function repeated<Each>(what: string, rounds: number, measure: () => Promise<Each>): Promise<Each[]> {
  const all: Each[] = [];
  for (let round = 0; round <= rounds; round++) {
    progress(`${what}, ${round === 0 ? "warming up" : `round ${round} of ${rounds}`}`);
    const one = await measure();
    if (round > 0) all.push(one);
  }
  return all;
}

function costTable(costs: readonly (readonly Cost[])[]) {
  const medianOf = (each: readonly Cost[], field: keyof Cost) => median(each.map((cost) => cost[field]));
  return {
    head: [
      `three limits, inside Redis, ${BATCH} in flight`,
      "commands per decision",
      "µs per decision",
      "processor µs, with the network",
    ],
    rows: costs.map((each, i) => {
      const commands = medianOf(each, "commands");
      return [
        CHOSEN[i] ?? "",
        commands < 1 ? `1/${(1 / commands).toFixed(1)}` : commands.toFixed(1),
        medianOf(each, "microseconds").toFixed(1),
        medianOf(each, "processor").toFixed(1),
      ];
    }),
  };
}

function timesTable(reserve: number, settle: number, seven: number, commands: number) {
  return {
    head: [`held for a call, or seven judged, in batches of ${BATCH}`, "µs inside Redis"],
    rows: [
      ["reserve, under an idempotency key", reserve.toFixed(1)],
      ["settle", settle.toFixed(1)],
      [`a decision over seven limits, ${commands.toFixed(3)} commands each`, seven.toFixed(1)],
    ],
  };
}
