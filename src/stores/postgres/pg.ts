// A pool of `pg`. A connection that is no good any more is destroyed, and so are those that were made before it.

import { monotonicClock } from "../../clock.ts";
import { LateError, within } from "../../deadlines.ts";
import { StoreError } from "../../store/error.ts";
import { answered, BEGIN, connectTimeoutCheck, firstColumns, patienceMs, setTimeouts } from "./database.ts";
import type { Database, Query } from "./database.ts";
import { Plans } from "./plans.ts";
import { isConnectionLost, isReadOnly, postgresError, SilentError } from "./errors.ts";

/** `pg`: a pool. */
export interface PgPool {
  query(text: string, values?: unknown[]): Promise<PgResult>;
  connect(): Promise<PgClient>;
  // biome-ignore lint/suspicious/noExplicitAny: its own types are of its own clients.
  on?(event: "connect", listener: (client: any) => void): unknown;
  listenerCount?(event: string): number;
  readonly options?: object;
}

interface PgResult {
  readonly rows: unknown[];
}

interface PgClient extends Pick<PgPool, "query"> {
  release(error?: Error | boolean): void;
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
  readonly host?: string;
  readonly port?: number;
}

/** @param deadlineMs for each statement */
export function pgDatabase(pool: PgPool, deadlineMs: number): Database {
  const connections = connectionsByPool.get(pool) ?? new Connections(pool);
  connectionsByPool.set(pool, connections);
  const { plans } = connections;
  const waitMs = patienceMs(deadlineMs);
  const timeouts = setTimeouts(deadlineMs);
  const rollBack = (ask: Query) => ask("ROLLBACK");
  const transaction: Database["transaction"] = (run) => {
    const inTransaction = async (ask: Query) => {
      await ask(`${BEGIN}; ${timeouts}`);
      const value = await run(ask);
      await ask("COMMIT");
      return value;
    };
    return connections.use(waitMs, inTransaction, rollBack);
  };
  return {
    transaction,
    query: (text, values) => transaction((query) => query(text, values)),
    // Several statements in one message are a transaction, which rolls itself back.
    often: (asked) =>
      connections.use(waitMs, async (ask, client) => {
        await plans.prepare(client, timeouts, asked, ask);
        return ask(plans.first(timeouts, asked));
      }),
    get keepsPlans() {
      return plans.isKept;
    },
    exchange(asked, write, decide) {
      const inTransaction = async (ask: Query, client: object) => {
        await plans.prepare(client, timeouts, [...asked, { statement: write }], ask);
        const [value, written] = decide(await ask(plans.first(`${BEGIN}; ${timeouts}`, asked)));
        await ask(plans.last(written === null ? [] : [{ statement: write, values: written }]));
        return value;
      };
      return connections.use(waitMs, inTransaction, rollBack);
    },
    settings() {
      if (pool.options === undefined) return [];
      const connectMs = Number(Reflect.get(pool.options, "connectionTimeoutMillis") ?? 0);
      const isHeard = pool.listenerCount?.("error") !== 0;
      const ends = 'a connection that breaks while it is idle ends the process: add pool.on("error", …)';
      return [
        connectTimeoutCheck("connectionTimeoutMillis", connectMs, 2_000),
        { name: "listener for errors", value: isHeard ? "there" : "none", problem: isHeard ? null : ends },
      ];
    },
  };
}

/** The connections of a pool, each for one use at a time. */
class Connections {
  readonly plans = new Plans();
  readonly #pool: PgPool;
  /**
   * Those that were made since one was last lost; `null` before. One that dies silently, or leads to a server that became a
   * replica, is seldom alone: those that are as old are not used again, because each could cost another deadline.
   */
  #young: WeakSet<PgClient> | null = null;

  constructor(pool: PgPool) {
    this.#pool = pool;
    pool.on?.("connect", (client) => this.#young?.add(client));
  }

  /** Runs statements on a connection. Where that fails, `undo` is asked, and a connection that is no good is destroyed. */
  async use<Value>(
    waitMs: number,
    run: (ask: Query, client: PgClient) => Promise<Value>,
    undo?: (ask: Query) => Promise<unknown>,
  ): Promise<Value> {
    const client = await this.#connect(waitMs);
    const at = client.host === undefined ? "" : ` at ${client.host}:${client.port}`;
    let isLost = false;
    // A connection that ends between two statements says so by an event, which ends the process without a listener.
    const lose = () => {
      isLost = true;
    };
    client.on?.("error", lose);
    const ask: Query = async (text, values = []) => {
      try {
        return firstColumns(lastOf(await answered(waitMs, client.query(text, [...values]), at)).rows);
      } catch (error) {
        this.plans.failed(error);
        if (isConnectionLost(error)) lose();
        if (error instanceof SilentError || isReadOnly(error)) this.#distrust(client);
        throw error;
      }
    };
    try {
      return await run(ask, client);
    } catch (error) {
      // A connection whose transaction cannot be ended must not go back to the others.
      if (!isLost) await undo?.(ask).catch(lose);
      throw error;
    } finally {
      if (isLost) destroy(client);
      else client.release();
      client.off?.("error", lose);
    }
  }

  /** A connection that is free in time, and was made since one was last lost. */
  async #connect(waitMs: number): Promise<PgClient> {
    const endsAtMs = monotonicClock.nowMs() + waitMs;
    for (;;) {
      const connecting = this.#pool.connect();
      const client = await within(endsAtMs - monotonicClock.nowMs(), connecting).catch((error) => {
        // A connection that comes later goes to batches that still wait.
        connecting.then((late) => late.release()).catch(() => {});
        throw connectError(error, serverOf(this.#pool), waitMs);
      });
      if (this.#isTrusted(client)) return client;
      destroy(client);
    }
  }

  #isTrusted(client: PgClient): boolean {
    return this.#young === null || this.#young.has(client);
  }

  /** Distrusts all connections that there are now, unless the lost one was distrusted before. */
  #distrust(client: PgClient): void {
    if (this.#pool.on !== undefined && this.#isTrusted(client)) this.#young = new WeakSet();
  }
}

/** `pg` answers several statements with a list of their results. */
function lastOf(result: PgResult | readonly PgResult[]): PgResult {
  return Array.isArray(result) ? (result.at(-1) as PgResult) : (result as PgResult);
}

/** One for each pool, however many stores use it. */
const connectionsByPool = new WeakMap<PgPool, Connections>();

function connectError(error: unknown, where: string, waitMs: number): StoreError {
  if (!(error instanceof LateError)) return postgresError(error, { where });
  const message = `Postgres${where}: the pool had no connection free within ${waitMs} ms: see what keeps them, or raise its max`;
  return new StoreError("unavailable", message, { transient: true });
}

/** Which server a pool is for, as far as its options say so, and nothing of their secrets. */
function serverOf({ options = {} }: PgPool): string {
  const { connectionString, host, port = 5432 } = options as Record<string, unknown>;
  if (typeof host === "string") return ` at ${host}:${port}`;
  const url = typeof connectionString === "string" ? URL.parse(connectionString) : null;
  return url === null || url.hostname === "" ? "" : ` at ${url.hostname}:${url.port || 5432}`;
}

/** `pg` ends a connection by a goodbye that needs an answer, unless a statement is under way: here none may come. */
function destroy(client: PgClient): void {
  client.release(true);
  const stream = (client as { connection?: { stream?: { destroy?(): void } } }).connection?.stream;
  stream?.destroy?.();
}
