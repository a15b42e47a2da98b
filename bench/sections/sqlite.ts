// SQLite, three limits: beside bare statements on the same rows, and eight processes on one file beside one.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "tollgate/stores/sqlite";
import { type Call, mustAdmit, scheduleOf, THREE } from "../calls.ts";
import { type Children, startChildren } from "../children.ts";
import { bareStatements } from "../floors.ts";
import { median, number } from "../harness.ts";
import { type Contender, inTurn, race, ratioOf } from "../race.ts";
import { type Section, speedBars, speedNamed, speedTables } from "../section.ts";
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
/** So that all processes have heard of it, with their calls, and opened the file. */
const AHEAD_MS = 500;

export const section: Section = {
  title: "SQLite, three limits",
  meaning: `One process with ${IN_FLIGHT} calls in flight. The bare statements read and write the same rows in the same
transactions of 256 calls; they answer no caller, and have no policy, checks, expiry or verdicts. The file lies in the
temporary directory and is written without an fsync a batch (\`durability: "process"\`).

${PROCESSES} processes share one file, with ${IN_FLIGHT / PROCESSES} callers each who await their answers, beside one
process with as many callers as one of them, and beside one with as many as all of them together: all decide the same
calls, which all pass, since there is no order among processes. Afterwards the file's counters are compared with the
calls. Of its writers SQLite lets one write at a time, so that several processes cannot be faster than one.`,

  async measure(isShort) {
    const { sessions, calls: count, rounds, processRounds } = isShort ? SHORT : FULL;
    const calls = scheduleOf(sessions, count);
    const folder = mkdtempSync(join(tmpdir(), "tollgate-bench-"));
    let files = 0;
    const newFile = () => join(folder, `${files++}.db`);
    try {
      const mustPass = (some: readonly Call[]) => mustAdmit(some, THREE, "all or none");
      const contenders: Contender[] = [
        {
          group: GROUP,
          name: "Tollgate",
          kind: "tollgate",
          mustAdmit: mustPass,
          open: (some) => tollgate(some, THREE, sqliteStore(newFile()), IN_FLIGHT),
        },
        {
          group: GROUP,
          name: BARE,
          kind: "floor",
          mustAdmit: mustPass,
          open: (some) => bareStatements(some, THREE, newFile()),
        },
      ];
      const speeds = await race(contenders, calls, rounds);
      const ways = [
        { name: `1 process, ${IN_FLIGHT / PROCESSES} callers`, processes: 1, callers: IN_FLIGHT / PROCESSES },
        { name: `1 process, ${IN_FLIGHT} callers`, processes: 1, callers: IN_FLIGHT },
        {
          name: `${PROCESSES} processes, ${IN_FLIGHT / PROCESSES} callers each`,
          processes: PROCESSES,
          callers: IN_FLIGHT / PROCESSES,
        },
      ];
      const children = await startChildren<Task, Done>(new URL("../sqlite/process.ts", import.meta.url), [], PROCESSES);
      const together = await inTurn(ways, processRounds, (way) => decideTogether(children, newFile(), calls, way));
      children.close();
      const [one = [], , all = []] = together;
      return {
        work: `${number(count)} calls of ${number(sessions)} sessions in one random order`,
        goals: [
          {
            what: `${GROUP}: times as long as ${BARE}`,
            bound: "at most",
            wanted: TIMES_BARE,
            measured: speedNamed(speeds, GROUP, BARE).ratio,
          },
          {
            what: `${GROUP}: ${PROCESSES} processes together, to one of them alone`,
            bound: "at least",
            wanted: TO_ONE,
            measured: ratioOf(all, one),
          },
        ],
        tables: [
          ...speedTables(speeds),
          {
            head: ["processes on one file", "decisions/s", "slowest to fastest round"],
            rows: ways.map(({ name }, i) => {
              const each = together[i] ?? [];
              return [name, number(median(each)), `${number(Math.min(...each))} to ${number(Math.max(...each))}`];
            }),
          },
        ],
        panel: {
          title: "decisions/s, longer is better",
          bars: [
            ...speedBars(speeds),
            ...ways.map(
              ({ name }, i) =>
                ({ name: `Tollgate, ${name}`, kind: "tollgate", value: median(together[i] ?? []) }) as const,
            ),
          ],
        },
        rounds: { speeds, together: ways.map(({ name }, i) => ({ name, rounds: together[i] })) },
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Decisions per second of all processes, from their common beginning to the last one's end. */
async function decideTogether(
  children: Children<Task, Done>,
  path: string,
  calls: readonly Call[],
  { processes, callers }: { readonly processes: number; readonly callers: number },
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

/** What the buckets of one limit have counted together. */
function countedIn(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const row = database
    .prepare("SELECT sum(CAST(value AS INTEGER)) AS spent FROM buckets WHERE key LIKE '%}:per-session'")
    .get();
  database.close();
  return Number(row?.spent);
}
