// Memory and SQLite beside rate-limiter-flexible, and beside bare code without policy: decisions per second
// and bytes per key. It holds no figure: each is measured in the run that prints it, and every answer is checked.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStore } from "tollgate/stores/sqlite";
import {
  arrivingAgain,
  bareMap,
  bareSqlite,
  type Call,
  flexible,
  type Limit,
  limiterOf,
  mustAdmit,
  ONE,
  type Rule,
  rateLimiterFlexible,
  scheduleOf,
  sessionName,
  THREE,
  tollgate,
  WINDOW_SECONDS,
} from "./contenders.ts";
import {
  aboutLines,
  type Contender,
  circumstances,
  heapOf,
  number,
  type Opened,
  progress,
  race,
  speedTables,
  table,
} from "./harness.ts";

const FULL = { sessions: 10_000, decisions: 80_000, rounds: 7, keysHeld: 100_000 };
const SHORT = { sessions: 500, decisions: 4_000, rounds: 2, keysHeld: 10_000 };
const IN_FLIGHT_SQLITE = 512;
const PEER = "rate-limiter-flexible";

type Open = (calls: readonly Call[]) => Opened;

function contendersOf(calls: readonly Call[], directory: string): Contender[] {
  let files = 0;
  const newFile = () => join(directory, `${files++}.db`);
  const contender = (group: string, name: string, limits: readonly Limit[], rule: Rule, open: Open) => {
    return { group, name, expected: mustAdmit(calls, limits, rule), open: () => open(calls.map(arrivingAgain)) };
  };
  return [["one limit", ONE] as const, ["three limits", THREE] as const].flatMap(([count, limits]) => {
    const memory = `memory, ${count}`;
    const sqlite = `SQLite, ${count}`;
    const peer = (name: string, rule: Rule, duration = WINDOW_SECONDS) =>
      contender(memory, name, limits, rule, (calls) => rateLimiterFlexible(calls, limits, rule, duration));
    const peers =
      limits.length === 1
        ? [peer(PEER, "one after the other"), peer(`${PEER}, never expires`, "one after the other", 0)]
        : [peer(`${PEER}, awaited in turn`, "one after the other"), peer(`${PEER}, Promise.all`, "all at once")];
    const own = (group: string, store: () => Store, inFlight: number) =>
      contender(group, "Tollgate", limits, "all or none", (calls) => tollgate(calls, limits, store(), inFlight));
    return [
      own(memory, memoryStore, 1),
      ...peers,
      contender(memory, "bare Map", limits, "all or none", (calls) => bareMap(calls, limits)),
      own(sqlite, () => sqliteStore(newFile()), IN_FLIGHT_SQLITE),
      contender(sqlite, "bare statements", limits, "all or none", (calls) => bareSqlite(calls, limits, newFile())),
    ];
  });
}

/** What holds one live bucket for each of so many sessions. Each is measured in a process of its own. */
const HOLDERS: Readonly<Record<string, (sessions: readonly string[]) => Promise<unknown>>> = {
  async Tollgate(sessions) {
    const limiter = limiterOf(ONE, memoryStore());
    for (const session of sessions) await limiter.consume({ tool: "search", session });
    return limiter;
  },
  [PEER]: (sessions) => flexiblyHeld(sessions, WINDOW_SECONDS),
  [`${PEER}, never expires`]: (sessions) => flexiblyHeld(sessions, 0),
  async "bare Map"(sessions) {
    const expiresAtMs = Date.now() + WINDOW_SECONDS * 1_000;
    return new Map(sessions.map((session) => [`per-session:${session}`, { spent: 1, expiresAtMs }]));
  },
};

async function flexiblyHeld(sessions: readonly string[], duration: number): Promise<unknown> {
  const limiter = flexible(1, duration);
  for (const session of sessions) await limiter.consume(session);
  return limiter;
}

/** In the child: prints the bytes. A session's string counts only where the holder keeps it alive. */
async function hold(name: string, keys: number): Promise<void> {
  const holder = HOLDERS[name];
  if (holder === undefined) throw new Error(`no holder is named ${name}`);
  // By way of bytes, so that the strings are as flat as those of a request.
  const sessions = (count: number) => Array.from({ length: count }, (_, i) => Buffer.from(sessionName(i)).toString());
  // Compiled code is not a key's.
  await holder(sessions(1_000));
  process.stdout.write(String((await heapOf(() => holder(sessions(keys)))) / keys));
}

function heapPerKey(name: string, keys: number): number {
  progress(`bytes per key: ${name}`);
  const file = fileURLToPath(import.meta.url);
  const args = [...process.execArgv, "--expose-gc", file, "--hold", name, "--keys", String(keys)];
  const child = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  if (child.status !== 0) throw new Error(`holding keys with ${name} failed: ${child.stderr}`);
  return Math.round(Number(child.stdout));
}

async function filePerKey(directory: string, keys: number): Promise<number> {
  progress("bytes per key: SQLite");
  const file = join(directory, "keys.db");
  const limiter = limiterOf(ONE, sqliteStore(file));
  for (let from = 0; from < keys; from += IN_FLIGHT_SQLITE) {
    const sessions = Array.from({ length: Math.min(IN_FLIGHT_SQLITE, keys - from) }, (_, i) => sessionName(from + i));
    await Promise.all(sessions.map((session) => limiter.consume({ tool: "search", session })));
  }
  await limiter.close();
  return Math.round(statSync(file).size / keys);
}

async function measure(short: boolean) {
  const { sessions, decisions, rounds, keysHeld } = short ? SHORT : FULL;
  const about = circumstances("npm run bench --", `SQLite ${process.versions.sqlite}`, ["tollgate", PEER]);
  const directory = mkdtempSync(join(tmpdir(), "tollgate-bench-"));
  try {
    const calls = scheduleOf(sessions, decisions);
    const speeds = await race(contendersOf(calls, directory), decisions, rounds);
    const heapBytesPerKey = Object.keys(HOLDERS).map((name) => [name, heapPerKey(name, keysHeld)] as const);
    const fileBytesPerKey = await filePerKey(directory, keysHeld);
    return { about, schedule: { sessions, decisions, rounds, keysHeld }, speeds, heapBytesPerKey, fileBytesPerKey };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

type Result = Awaited<ReturnType<typeof measure>>;

function tablesOf({ speeds, heapBytesPerKey, fileBytesPerKey, schedule }: Result): string {
  const bytes = [...heapBytesPerKey, ["SQLite file (Tollgate)", fileBytesPerKey] as const];
  return [
    ...speedTables(speeds),
    table(
      [`${number(schedule.keysHeld)} live keys, one limit`, "bytes per key"],
      bytes.map(([name, each]) => [name, number(each)]),
    ),
  ].join("\n\n");
}

function aboutOf({ about, schedule: { sessions, decisions, rounds } }: Result): string {
  const work = `${number(decisions)} calls of ${number(sessions)} sessions in one random order, ${rounds} rounds after a warm-up`;
  return aboutLines(about, work);
}

function pageOf(result: Result): string {
  const three = result.speeds.filter(({ group }) => group === "memory, three limits");
  const peers = three.filter(({ name }) => name.startsWith(PEER)).toSorted((a, b) => b.ratio - a.ratio);
  const wronglyDenied = peers.map(({ name, admitted }) => {
    return `${number((three[0]?.admitted ?? Number.NaN) - admitted)} (${name.replace(`${PEER}, `, "")})`;
  });
  return `# Memory and SQLite, side by side

Written by the command below from one run; nothing here is edited by hand.

${aboutOf(result)}

${tablesOf(result)}

What they mean. All contenders took turns in one process, with a fresh state and fresh strings each round, and the run
fails when one admits another number of calls than its own rule says. "To Tollgate" is the median of the ratios within a
round. Memory is asked one call at a time, SQLite with ${IN_FLIGHT_SQLITE} calls in flight. The bare ones keep counts and answer yes or
no, without policy, checks, expiry or verdicts: that is the price of those. A bare Map is not the fastest there is: it
joins limit and session into a key, where ${PEER} without a prefix takes the session's own string.

What they do not mean. The cores are shared with whatever else ran on the machine: compare the ratios, and carry no
decisions per second to another machine. The file lies in the temporary directory, is written by one process, and
without an fsync a batch (\`durability: "process"\`).

On three limits ${PEER} has no atomic decision: a call that one limit denies stays charged to the
limits asked before it, or with it. Of its two ways, the faster first, this denied so many calls that an atomic decision
admits: ${wronglyDenied.join(", ")}. No window ends during the schedule, which hides what such
charges cost a window later.
`;
}

const OPTIONS = {
  json: { type: "boolean", default: false },
  short: { type: "boolean", default: false },
  write: { type: "boolean", default: false },
  // The child's.
  hold: { type: "string" },
  keys: { type: "string", default: "0" },
} as const;

const { json, short, write, hold: held, keys } = parseArgs({ options: OPTIONS }).values;
if (held !== undefined) {
  await hold(held, Number(keys));
} else {
  if (write && short) throw new Error("--write wants a full run: leave out --short");
  const result = await measure(short);
  if (write) writeFileSync(new URL("RESULTS.md", import.meta.url), pageOf(result));
  console.log(json ? JSON.stringify(result) : `${aboutOf(result)}\n\n${tablesOf(result)}`);
}
