// What `postgres()` of postgres.js returns. It does not allow to destroy a connection: its own `socket` option has to do that.

import type { SetupCheck } from "../../store/store.ts";
import {
  answered,
  connectTimeoutCheck,
  type Database,
  firstColumns,
  patienceMs,
  type Query,
  setTimeouts,
  withText,
} from "./database.ts";
import { SilentError } from "./errors.ts";

/** postgres.js: what `postgres()` returns. */
export interface PostgresJs {
  // biome-ignore lint/suspicious/noExplicitAny: its own types are far stricter than what is used of them.
  unsafe(text: string, values?: any[]): PromiseLike<any>;
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  begin(run: (sql: any) => any): Promise<any>;
  readonly options?: object;
}

/** How many waits a transaction may take: for a connection, BEGIN, three statements, and COMMIT. */
const WAITS = 6;

export class PostgresJsDatabase implements Database {
  readonly #sql: PostgresJs;
  readonly #timeouts: string;
  readonly #patienceMs: number;

  constructor(sql: PostgresJs, deadlineMs: number) {
    this.#sql = sql;
    this.#timeouts = setTimeouts(deadlineMs);
    this.#patienceMs = patienceMs(deadlineMs);
  }

  readonly query: Query = (text, values) => this.transaction((query) => query(text, values));

  async transaction<Value>(run: (query: Query) => Promise<Value>): Promise<Value> {
    const ms = WAITS * this.#patienceMs;
    const endsAtMs = performance.now() + ms;
    const transaction = this.#sql.begin(async (sql: PostgresJs) => {
      if (performance.now() >= endsAtMs) throw new SilentError("", ms);
      const ask = (text: string, values?: string[]) => answered(this.#patienceMs, sql.unsafe(text, values));
      // It goes ahead of the first statement on the same connection, which need not wait for its answer.
      const set = ask(this.#timeouts);
      const query: Query = async (text, values = []) => firstColumns(await ask(text, [...values]));
      const [value] = await Promise.all([run(query), set]);
      return value;
    });
    return answered(ms, transaction);
  }

  async run(text: string, value: string): Promise<void> {
    // Several statements in one message are a transaction, which rolls itself back.
    await answered(this.#patienceMs, this.#sql.unsafe(`${this.#timeouts}; ${withText(text, value)}`));
  }

  settings(): readonly SetupCheck[] {
    const { options } = this.#sql;
    if (options === undefined) return [];
    const isOwn = typeof Reflect.get(options, "socket") === "function";
    const stays =
      "a connection that dies silently keeps its place in the pool: end its socket as docs/stores/postgres.md shows";
    return [
      connectTimeoutCheck("connect_timeout", 1_000 * Number(Reflect.get(options, "connect_timeout")), 2),
      { name: "socket", value: isOwn ? "the program's own" : "without a timeout", problem: isOwn ? null : stays },
    ];
  }
}
