// A pool of `pg`. A connection that is no good any more is destroyed, and so are those that were made before it.

import { LateError, within } from "../../clock.ts";
import { StoreError } from "../../store/error.ts";
import type { SetupCheck } from "../../store/store.ts";
import {
  answered,
  connectTimeoutCheck,
  type Database,
  firstColumns,
  patienceMs,
  type Query,
  type Row,
  setTimeouts,
  withText,
} from "./database.ts";
import { isConnectionLost, isReadOnly, postgresError, SilentError } from "./errors.ts";

/** `pg`: a pool. */
export interface PgPool {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: Row[] }>;
  connect(): Promise<PgClient>;
  // biome-ignore lint/suspicious/noExplicitAny: its own types are of its own clients.
  on?(event: "connect", listener: (client: any) => void): unknown;
  listenerCount?(event: string): number;
  readonly options?: object;
}

interface PgClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: Row[] }>;
  release(error?: Error | boolean): void;
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
  readonly host?: string;
  readonly port?: number;
}

export class PgDatabase implements Database {
  readonly #pool: PgPool;
  readonly #ages: Ages;
  readonly #timeouts: string;
  readonly #patienceMs: number;

  constructor(pool: PgPool, deadlineMs: number) {
    this.#pool = pool;
    this.#ages = agesOf(pool);
    this.#timeouts = setTimeouts(deadlineMs);
    this.#patienceMs = patienceMs(deadlineMs);
  }

  readonly query: Query = (text, values) => this.transaction((query) => query(text, values));

  transaction<Value>(run: (query: Query) => Promise<Value>): Promise<Value> {
    const begun = async (ask: Query) => {
      await ask(`BEGIN; ${this.#timeouts}`);
      const value = await run(ask);
      await ask("COMMIT");
      return value;
    };
    return this.#connected(begun, (ask) => ask("ROLLBACK"));
  }

  async run(text: string, value: string): Promise<void> {
    // Several statements in one message are a transaction, which rolls itself back.
    await this.#connected((ask) => ask(`${this.#timeouts}; ${withText(text, value)}`));
  }

  settings(): readonly SetupCheck[] {
    const { options } = this.#pool;
    if (options === undefined) return [];
    const connectMs = Number(Reflect.get(options, "connectionTimeoutMillis") ?? 0);
    const isHeard = this.#pool.listenerCount?.("error") !== 0;
    const ends = 'a connection that breaks while it is idle ends the process: add pool.on("error", …)';
    return [
      connectTimeoutCheck("connectionTimeoutMillis", connectMs, 2_000),
      { name: "listener for errors", value: isHeard ? "there" : "none", problem: isHeard ? null : ends },
    ];
  }

  async #connected<Value>(
    use: (ask: Query) => Promise<Value>,
    undo?: (ask: Query) => Promise<unknown>,
  ): Promise<Value> {
    const client = await this.#connect();
    let isLost = false;
    // A connection that ends between two statements says so by an event, which ends the process without a listener.
    const lose = () => {
      isLost = true;
    };
    client.on?.("error", lose);
    const ask: Query = async (text, values = []) => {
      try {
        return firstColumns((await answered(this.#patienceMs, client.query(text, [...values]), at(client))).rows);
      } catch (error) {
        if (isConnectionLost(error)) lose();
        if (error instanceof SilentError || isReadOnly(error)) this.#ages.distrust(client);
        throw error;
      }
    };
    try {
      return await use(ask);
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
  async #connect(): Promise<PgClient> {
    const endsAtMs = performance.now() + this.#patienceMs;
    for (;;) {
      const client = await this.#freeClient(endsAtMs - performance.now());
      if (this.#ages.isTrusted(client)) return client;
      destroy(client);
    }
  }

  async #freeClient(ms: number): Promise<PgClient> {
    const connecting = this.#pool.connect();
    try {
      return await within(ms, connecting);
    } catch (error) {
      const where = serverOf(this.#pool);
      if (!(error instanceof LateError)) throw postgresError(error, { where });
      // A connection that comes later goes to batches that still wait.
      connecting.then((client) => client.release()).catch(() => {});
      const message = `Postgres${where}: the pool had no connection free within ${this.#patienceMs} ms: see what keeps them, or raise its max`;
      throw new StoreError("unavailable", message, { transient: true });
    }
  }
}

/** Where a connection leads, for messages. */
function at({ host, port }: PgClient): string {
  return host === undefined ? "" : ` at ${host}:${port}`;
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

/**
 * Which connections of a pool were made since one of them was lost. One that dies silently, or leads to a server that became a
 * replica, is seldom alone: those that are as old are not used again, because each could cost another deadline.
 */
class Ages {
  readonly #isCounted: boolean;
  #young: WeakSet<PgClient> | null = null;

  constructor(pool: PgPool) {
    this.#isCounted = pool.on !== undefined;
    pool.on?.("connect", (client) => this.#young?.add(client));
  }

  isTrusted(client: PgClient): boolean {
    return this.#young === null || this.#young.has(client);
  }

  /** Distrusts all connections that there are now, unless the lost one was distrusted before: it was one of the old ones. */
  distrust(client: PgClient): void {
    if (this.#isCounted && this.isTrusted(client)) this.#young = new WeakSet();
  }
}

/** One for each pool, however many stores use it. */
const ages = new WeakMap<PgPool, Ages>();

function agesOf(pool: PgPool): Ages {
  const found = ages.get(pool) ?? new Ages(pool);
  ages.set(pool, found);
  return found;
}
