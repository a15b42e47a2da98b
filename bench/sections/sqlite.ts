// SQLite, three limits: beside bare statements on the same rows, and eight processes on one file beside one.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "tollgate/stores/sqlite";
import { type Call, scheduleOf, THREE } from "../calls.ts";
import { type Children, startChildren } from "../children.ts";
import { bareStatements } from "../floors.ts";
import { median, number, ratioOf, spread } from "../harness.ts";
import { type Contender, inTurn, race } from "../race.ts";
import { atLeast, atMost, headline, type Section, speedNamed, speedTables } from "../section.ts";
import { temporaryFolder } from "../servers.ts";
import type { Done, Task } from "../sqlite/process.ts";
import { tollgate } from "../tollgate.ts";

const FULL = { sessions: 10_000, calls: 80_000, rounds: 5, processRounds: 3 };
const SHORT = { sessions: 500, calls: 4_000, rounds: 1, processRounds: 1 };
const IN_FLIGHT = 512;
const PROCESSES = 8;
const GROUP = "SQLite, three limits";
const BARE = "bare statements";
const TIMES_BARE = 1.5;
const TO_ONE = 0.7;
/** Until all processes have got their calls and opened the file. */
const AHEAD_MS = 500;
const CALLERS = IN_FLIGHT / PROCESSES;
const WAYS = [
  { name: `1 process, ${CALLERS} callers`, processes: 1, callers: CALLERS },
  { name: `1 process, ${IN_FLIGHT} callers`, processes: 1, callers: IN_FLIGHT },
  { name: `${PROCESSES} processes, ${CALLERS} callers each`, processes: PROCESSES, callers: CALLERS },
];

export const section: Section = {
  title: GROUP,
  meaning: `One process with ${IN_FLIGHT} calls in flight. The bare statements read and write the same rows in the same
transactions of 256 calls. They have no policy, checks, expiry or verdicts, and answer no caller. The file is in the temporary
directory and is written without an fsync for each batch (\`durability: "process"\`).

${PROCESSES} processes share one file, with ${CALLERS} callers each that await their answers. Beside them runs one process with
as many callers as one of them, and one with as many as all of them. All decide the same calls, which all pass because
calls of several processes have no order. Afterwards the counters of the file are compared with the calls. SQLite lets
one process write at a time, so several processes cannot be faster than one.`,

  async measure(isShort) {
    const { sessions, calls: count, rounds, processRounds } = isShort ? SHORT : FULL;
    const calls = scheduleOf(sessions, count);
    using folder = temporaryFolder();
    let files = 0;
    const newFile = () => join(folder.path, `${files++}.db`);
    const about = { group: GROUP, limits: THREE, rule: "all or none", inFlight: IN_FLIGHT } as const;
    const contenders: Contender[] = [
      { ...about, name: "Tollgate", open: async () => tollgate(THREE, sqliteStore(newFile())) },
      { ...about, name: BARE, open: async () => bareStatements(THREE, newFile()) },
    ];
    const speeds = await race(contenders, calls, rounds);
    using children = await startChildren<Task, Done>(new URL("../sqlite/process.ts", import.meta.url), {
      count: PROCESSES,
    });
    const together = await inTurn(WAYS, processRounds, (way) => decideTogether(children, newFile(), calls, way));
    const [one = [], , all = []] = together;
    const bare = speedNamed(speeds, GROUP, BARE);
    return {
      work: `${number(count)} calls of ${number(sessions)} sessions in one random order`,
      goals: [
        atMost(`${GROUP}: times as long as ${BARE}`, TIMES_BARE, bare.ratio),
        atLeast(`${GROUP}: ${PROCESSES} processes together, to one of them alone`, TO_ONE, ratioOf(all, one)),
      ],
      headlines: [headline(speeds, GROUP, bare)],
      tables: [
        ...speedTables(speeds),
        {
          head: ["processes on one file", "decisions/s", "slowest to fastest round"],
          rows: WAYS.map(({ name }, i) => [name, number(median(together[i] ?? [])), spread(together[i] ?? [])]),
        },
      ],
    };
  },
};

/** Decisions per second of all processes, from their common start to the end of the last one. */
async function decideTogether(
  children: Children<Task, Done>,
  path: string,
  calls: readonly Call[],
  { processes, callers }: (typeof WAYS)[number],
): Promise<number> {
  const startMs = Date.now() + AHEAD_MS;
  const share = Math.ceil(calls.length / processes);
  const tasks = Array.from({ length: processes }, (_, i): Task => {
    return { path, calls: calls.slice(i * share, (i + 1) * share), callers, startMs };
  });
  const done = await children.ask(tasks);
  const admitted = done.reduce((sum, each) => sum + each.admitted, 0);
  const counted = countedIn(path);
  if (admitted !== calls.length || counted !== calls.length) {
    throw new Error(`admitted ${admitted} and counted ${counted} of ${calls.length} calls, must do both for all`);
  }
  return (calls.length / (Math.max(...done.map(({ endMs }) => endMs)) - startMs)) * 1_000;
}

/** The sum of the counters of one limit. */
function countedIn(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const sum = "SELECT sum(CAST(value AS INTEGER)) AS spent FROM buckets WHERE key LIKE '%}:per-session'";
  const row = database.prepare(sum).get();
  database.close();
  return Number(row?.spent);
}
