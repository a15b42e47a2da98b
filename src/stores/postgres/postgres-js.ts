// What `postgres()` of postgres.js returns. It does not allow to destroy a connection: its own `socket` option has to do that.

import { monotonicClock } from "../../clock.ts";
import { answered, connectTimeoutCheck, firstColumns, patienceMs, READ_COMMITTED, setTimeouts } from "./database.ts";
import type { Database, Query } from "./database.ts";
import { SilentError } from "./errors.ts";
import type { Asked } from "./statement.ts";

/** postgres.js: what `postgres()` returns. */
export interface PostgresJs {
  // biome-ignore lint/suspicious/noExplicitAny: its own types are far stricter than what is used of them.
  unsafe(text: string, values?: any[]): PromiseLike<any>;
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  begin(run: (sql: any) => any): Promise<any>;
  readonly options?: object;
}

/** What a transaction may wait for, each time for one statement's time: a connection, BEGIN, three statements and COMMIT. */
const WAITS_PER_TRANSACTION = 6;

/** @param deadlineMs for each statement */
export function postgresJsDatabase(sql: PostgresJs, deadlineMs: number): Database {
  const waitMs = patienceMs(deadlineMs);
  const ask = (on: PostgresJs, text: string, values?: string[]) => answered(waitMs, on.unsafe(text, values));
  const transaction = <Value>(run: (query: Query) => Promise<Value>): Promise<Value> => {
    const transactionMs = WAITS_PER_TRANSACTION * waitMs;
    const endsAtMs = monotonicClock.nowMs() + transactionMs;
    const transacted = sql.begin(async (on: PostgresJs) => {
      if (monotonicClock.nowMs() >= endsAtMs) throw new SilentError("", transactionMs);
      // They go ahead of the first statement on the same connection, which need not wait for their answer.
      const timeouts = ask(on, `${READ_COMMITTED}; ${setTimeouts(deadlineMs)}`);
      const query: Query = async (text, values = []) => firstColumns(await ask(on, text, [...values]));
      const [value] = await Promise.all([run(query), timeouts]);
      return value;
    });
    return answered(transactionMs, transacted);
  };
  const query: Query = (text, values) => transaction((on) => on(text, values));
  return {
    transaction,
    query,
    often: (asked) => transaction((on) => lastOf(on, asked)),
    keepsPlans: false,
    exchange: (asked, write, decide) =>
      transaction(async (on) => {
        const [value, written] = decide(await lastOf(on, asked));
        if (written !== null) await on(write.text, written);
        return value;
      }),
    settings() {
      const { options } = sql;
      if (options === undefined) return [];
      const isOwn = typeof Reflect.get(options, "socket") === "function";
      const stays =
        "a connection that dies silently keeps its place in the pool: end its socket as docs/stores/postgres.md shows";
      return [
        connectTimeoutCheck("connect_timeout", 1_000 * Number(Reflect.get(options, "connect_timeout")), 2),
        { name: "socket", value: isOwn ? "the program's own" : "without a timeout", problem: isOwn ? null : stays },
      ];
    },
  };
}

/** Sends statements one after the other, without a wait for the answers before the last one. */
async function lastOf(on: Query, asked: readonly Asked[]): Promise<readonly unknown[]> {
  const answers = await Promise.all(asked.map(({ statement: { text }, values }) => on(text, values)));
  return answers.at(-1) ?? [];
}
