// Redis beside rate-limiter-flexible, and beside plain INCR: decisions per second through the same client, time inside
// Redis, and bytes per counter. It holds no figure: each is measured in the run that prints it, and every answer is
// checked. It starts a Redis of its own.

import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { redisStore } from "tollgate/stores/redis";
import { limiterOf, ONE, scheduleOf, sessionName, THREE, WINDOW_SECONDS } from "./contenders.ts";
import {
  aboutLines,
  type Contender,
  circumstances,
  median,
  number,
  progress,
  race,
  type Speed,
  speedTables,
  table,
} from "./harness.ts";
import { ioredisContenders, nodeRedisContenders, PEER } from "./redis-contenders.ts";
import { holdBytes, holdTimes, sevenLimits } from "./redis-holds.ts";
import { type RedisServer, startRedis } from "./redis-server.ts";

const FULL = { sessions: 10_000, decisions: 80_000, rounds: 5, keysHeld: 100_000, holds: 20_000 };
const SHORT = { sessions: 160, decisions: 1_280, rounds: 1, keysHeld: 5_000, holds: 2_000 };
const IN_FLIGHT = 512;
const BATCH = 64;
const GROUPS = ["ioredis, one limit", "ioredis, three limits", "node-redis, one limit", "node-redis, three limits"];
const INSIDE = "three limits, inside Redis";

/** What the project wants of itself. */
const GOALS = [
  { group: GROUPS[0], times: 5 },
  { group: GROUPS[1], times: 8 },
  { group: GROUPS[2], times: 5 },
  { group: GROUPS[3], times: 8 },
] as const;
const GOAL_MICROSECONDS = 25;
const GOAL_HELD_MICROSECONDS = 35;
const GOAL_HOLD_BYTES = 500;
const GOAL_SEVEN_MICROSECONDS = 50;

interface Inside {
  readonly name: string;
  /** Calls of the command that decides, a decision. */
  readonly calls: number;
  /** Microseconds a decision in it, by the server's own statistics. */
  readonly command: number;
  /** Microseconds a decision of all processor time that the server took, with reading and answering. */
  readonly processor: number;
}

/** Decides with `BATCH` calls in flight, which Tollgate sends as one script, and asks the server what it took. */
async function insideRedis(server: RedisServer, contenders: readonly Contender[], decisions: number, rounds: number) {
  const taken = contenders.map((): Omit<Inside, "name">[] => []);
  for (let round = 0; round <= rounds; round++) {
    progress(`inside Redis, ${round === 0 ? "warming up" : `round ${round} of ${rounds}`}`);
    for (const [i, contender] of contenders.entries()) {
      const one = await costOf(server, contender, decisions);
      if (round > 0) taken[i]?.push(one);
    }
  }
  return contenders.map(({ name }, i): Inside => {
    const medianOf = (field: keyof Omit<Inside, "name">) => median((taken[i] ?? []).map((each) => each[field]));
    return { name, calls: medianOf("calls"), command: medianOf("command"), processor: medianOf("processor") };
  });
}

async function costOf(server: RedisServer, { name, expected, open }: Contender, decisions: number) {
  const { run, close } = await open();
  await server.control.config("RESETSTAT");
  const before = await processorMicroseconds(server);
  const admitted = await run();
  const after = await processorMicroseconds(server);
  const stats = await server.info("commandstats");
  await close();
  if (admitted !== expected) throw new Error(`${name}: admitted ${admitted} calls, must admit ${expected}`);
  const [, calls, usec] = /^calls=(\d+),usec=(\d+)/.exec(
    stats.get("cmdstat_evalsha") ?? stats.get("cmdstat_incr") ?? "",
  ) ?? [0, Number.NaN, Number.NaN];
  return {
    calls: Number(calls) / decisions,
    command: Number(usec) / decisions,
    processor: (after - before) / decisions,
  };
}

async function processorMicroseconds(server: RedisServer): Promise<number> {
  const cpu = await server.info("cpu");
  return (Number(cpu.get("used_cpu_user")) + Number(cpu.get("used_cpu_sys"))) * 1e6;
}

/** Bytes for each of so many counters with an expiry: Tollgate's, and plain ones under the very same keys. */
async function bytesPerKey(server: RedisServer, keys: number) {
  progress("bytes per counter");
  const { control } = server;
  const client = new Redis(server.port);
  const limiter = limiterOf(ONE, redisStore(client));
  const consume = (session: string) => limiter.consume({ tool: "search", session });
  // The script stays on the server, and is no key's.
  await consume("warm-up");
  const byTollgate = await growth(server, async () => {
    for (let from = 0; from < keys; from += IN_FLIGHT) {
      const count = Math.min(IN_FLIGHT, keys - from);
      await Promise.all(Array.from({ length: count }, (_, i) => consume(sessionName(from + i))));
    }
  });
  const names = await control.keys("*");
  if (names.length !== keys) throw new Error(`there are ${names.length} keys, must be ${keys}`);
  const byHand = await growth(server, async () => {
    for (let from = 0; from < keys; from += IN_FLIGHT) {
      const pipeline = client.pipeline();
      for (const name of names.slice(from, from + IN_FLIGHT)) pipeline.set(name, 1, "PX", WINDOW_SECONDS * 1_000);
      await pipeline.exec();
    }
  });
  await limiter.close();
  client.disconnect();
  return { tollgate: byTollgate / keys, plain: byHand / keys };
}

/** How much memory the server takes more after `fill` than empty. */
async function growth(server: RedisServer, fill: () => Promise<void>): Promise<number> {
  await server.control.flushall("SYNC");
  const before = await settledMemory(server);
  await fill();
  return (await settledMemory(server)) - before;
}

/** The memory used, once the tables have been rehashed and the clients' buffers given back. */
async function settledMemory(server: RedisServer): Promise<number> {
  const used = async () => Number((await server.info("memory")).get("used_memory"));
  let last = await used();
  let same = 0;
  while (same < 5) {
    await sleep(100);
    const now = await used();
    same = Math.abs(now - last) < 1_024 ? same + 1 : 0;
    last = now;
  }
  return last;
}

async function measure(short: boolean) {
  const { sessions, decisions, rounds, keysHeld, holds } = short ? SHORT : FULL;
  const server = await startRedis();
  try {
    const about = circumstances("node --conditions=tollgate-source bench/redis.bench.ts", `Redis ${server.version}`, [
      "tollgate",
      PEER,
      "ioredis",
      "redis",
    ]);
    const calls = scheduleOf(sessions, decisions);
    const field = { server, calls, inFlight: IN_FLIGHT };
    const contenders = GROUPS.flatMap((group) => {
      const limits = group.endsWith("one limit") ? ONE : THREE;
      const contendersOf = group.startsWith("ioredis") ? ioredisContenders : nodeRedisContenders;
      return contendersOf(group, { ...field, limits });
    });
    const speeds = await race(contenders, decisions, rounds);
    const alone = ioredisContenders(INSIDE, { ...field, limits: THREE, inFlight: BATCH });
    const asked = ["Tollgate", `${PEER}, Promise.all`, "plain INCR, each sent by itself"];
    const chosen = asked.flatMap((name) => alone.filter((each) => each.name === name));
    const inside = await insideRedis(server, chosen, decisions, rounds);
    const bytes = await bytesPerKey(server, keysHeld);
    const held = await holdTimes(server, calls.slice(0, decisions / 2), rounds);
    const seven = await sevenLimits(server, calls.slice(0, decisions / 4), rounds);
    const holdGrowth = await holdBytes(server, holds, growth);
    return {
      about,
      schedule: { sessions, decisions, rounds, keysHeld, holds },
      speeds,
      inside,
      bytes,
      held,
      seven,
      holdGrowth,
    };
  } finally {
    await server.stop();
  }
}

type Result = Awaited<ReturnType<typeof measure>>;

/** The fastest of the peer's ways in a group. */
function bestPeer(speeds: readonly Speed[], group: string): Speed {
  const peers = speeds.filter((speed) => speed.group === group && speed.name.startsWith(PEER));
  const [best] = peers.toSorted((a, b) => b.ratio - a.ratio);
  if (best === undefined) throw new Error(`no peer in ${group}`);
  return best;
}

function goalTable({ speeds, inside, held, seven, holdGrowth }: Result): string {
  const rows = GOALS.map(({ group, times }) => {
    const best = bestPeer(speeds, group ?? "");
    const reached = 1 / best.ratio;
    const what = `${group}: times as fast as ${best.name}`;
    return [what, `at least ${times}`, reached.toFixed(1), reached >= times ? "yes" : "no"];
  });
  const atMost = (what: string, most: number, measured: number) => {
    rows.push([what, `at most ${most}`, measured.toFixed(1), measured <= most ? "yes" : "no"]);
  };
  atMost(`${INSIDE}: µs per decision`, GOAL_MICROSECONDS, inside[0]?.command ?? Number.NaN);
  atMost(`${INSIDE}: µs per reservation under a key`, GOAL_HELD_MICROSECONDS, held.reserve);
  atMost("seven limits, inside Redis: µs per decision", GOAL_SEVEN_MICROSECONDS, seven.microseconds);
  atMost("bytes that a live hold adds to the counters of its three limits", GOAL_HOLD_BYTES, holdGrowth.hold);
  return table(["goal", "wanted", "measured", "reached"], rows);
}

function tablesOf(result: Result): string {
  const { speeds, inside, bytes, held, seven, holdGrowth, schedule } = result;
  return [
    goalTable(result),
    ...speedTables(speeds),
    table(
      [`${INSIDE}, ${BATCH} in flight`, "commands per decision", "µs per decision", "processor µs, with the network"],
      inside.map(({ name, calls, command, processor }) => {
        return [
          name,
          calls < 1 ? `1/${(1 / calls).toFixed(1)}` : calls.toFixed(1),
          command.toFixed(1),
          processor.toFixed(1),
        ];
      }),
    ),
    table(
      [`${number(schedule.keysHeld)} counters of one limit`, "bytes per counter", "to Tollgate"],
      [
        ["Tollgate", number(bytes.tollgate), "1.00"],
        ["SET key 1 PX, the same keys", number(bytes.plain), (bytes.plain / bytes.tollgate).toFixed(2)],
      ],
    ),
    table(
      [`three limits held for a call, or seven judged, in batches of ${BATCH}`, "µs inside Redis"],
      [
        ["reserve, under an idempotency key", held.reserve.toFixed(1)],
        ["settle", held.settle.toFixed(1)],
        [`a decision over seven limits, ${seven.scripts.toFixed(3)} scripts each`, seven.microseconds.toFixed(1)],
      ],
    ),
    table(
      [
        `${number(schedule.holds)} calls that have not ended`,
        "bytes per call, beyond the counters of its three limits",
      ],
      [
        ["held", number(holdGrowth.hold)],
        ["held, under an idempotency key", number(holdGrowth.keyed)],
      ],
    ),
  ].join("\n\n");
}

function aboutOf({ about, schedule: { sessions, decisions, rounds } }: Result): string {
  const work = `${number(decisions)} calls of ${number(sessions)} sessions in one random order, ${rounds} rounds after a warm-up`;
  return aboutLines(about, work);
}

function pageOf(result: Result): string {
  return `# Redis, side by side

Written by the command below from one run; nothing here is edited by hand.

${aboutOf(result)}

${tablesOf(result)}

What they mean. One Redis without persistence on this machine's loopback; all contenders took turns in one process, each
with a connection of its own, an emptied Redis and fresh strings each round, and ${IN_FLIGHT} calls in flight. The run fails when
one admits another number of calls than its own rule says. "To Tollgate" is the median of the ratios within a round; a
goal's figure is 1 divided by that of the fastest of ${PEER}'s ways, which it names. Plain INCR
counts and does nothing else: no expiry, no times, and a denied call stays counted. "Inside Redis" has ${BATCH} calls in
flight, which Tollgate sends as one script; µs are those of the server's \`INFO commandstats\` for the commands
that decide, by the clock, so that a busy machine makes them more; processor µs are those of \`INFO cpu\` for the whole
server, which also reads and answers.

What they do not mean. Client and server share the machine with whatever else ran on it: compare the ratios, and carry
no decisions per second to another machine. On loopback a round trip costs next to nothing; over a network all of them
get slower, the one with three round trips a call the most. With few calls in flight there is little to send together,
and the ratios get smaller.

${PEER} is the atomic \`RateLimiterRedis\` with the settings that its documentation names: ioredis without an offline
queue, autopipelining, and \`inMemoryBlockOnConsumed\`, by which it denies the calls of a spent key without asking. Through
node-redis it sends its script's text with each call. On three limits it has no atomic decision: a call that one limit
denies stays charged to the limits asked before it, or with it.
`;
}

const OPTIONS = {
  json: { type: "boolean", default: false },
  short: { type: "boolean", default: false },
  write: { type: "boolean", default: false },
} as const;

const { json, short, write } = parseArgs({ options: OPTIONS }).values;
if (write && short) throw new Error("--write wants a full run: leave out --short");
const result = await measure(short);
if (write) writeFileSync(new URL("RESULTS-redis.md", import.meta.url), pageOf(result));
console.log(json ? JSON.stringify(result) : `${aboutOf(result)}\n\n${tablesOf(result)}`);
