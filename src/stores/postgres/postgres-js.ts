// What `postgres()` of postgres.js returns. It lets nobody destroy a connection: its own `socket` option has to see to that.

import { answered, type Database, firstColumns, patienceMs, type Query, setTimeouts, withText } from "./database.ts";

/** postgres.js: what `postgres()` returns. */
export interface PostgresJs {
  // biome-ignore lint/suspicious/noExplicitAny: its own types are far stricter than what is used of them.
  unsafe(text: string, values?: any[]): PromiseLike<any>;
  // biome-ignore lint/suspicious/noExplicitAny: likewise.
  begin(run: (sql: any) => any): Promise<any>;
  readonly options?: object;
}

/** How many waits a transaction may take: for a connection, BEGIN, three statements, and COMMIT. */
const WAITS = 6;
/** Its `connect_timeout` is in seconds. */
const LONGEST_CONNECT_S = 10;

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
      if (performance.now() >= endsAtMs) throw new RangeError("nobody waits for this transaction any more");
      const ask = (text: string, values?: string[]) => answered(this.#patienceMs, sql.unsafe(text, values));
      // It goes ahead of the first statement on the same connection, which need not wait for its answer.
      const set = ask(this.#timeouts);
      const query: Query = async (text, values = []) => firstColumns(await ask(text, [...values]));
      const [value] = await Promise.all([run(query), set]);
      return value;
    });
    return answered(ms, transaction);
  }

  async send(text: string, value: string): Promise<void> {
    // Several statements in one message are a transaction, which rolls itself back.
    await answered(this.#patienceMs, this.#sql.unsafe(`${this.#timeouts}; ${withText(text, value)}`));
  }

  problems(): readonly string[] {
    const { options } = this.#sql;
    if (options === undefined) return [];
    const problems: string[] = [];
    if (typeof Reflect.get(options, "socket") !== "function") {
      problems.push("a connection that dies silently is never replaced: set socket as the page on Postgres shows");
    }
    const connectS = Number(Reflect.get(options, "connect_timeout"));
    if (connectS === 0 || connectS > LONGEST_CONNECT_S) {
      problems.push(
        `connections that are never accepted fill the pool (connect_timeout: ${connectS} s): set connect_timeout to 2`,
      );
    }
    return problems;
  }
}
