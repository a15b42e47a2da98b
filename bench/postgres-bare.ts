// The floor on Postgres: statements that only count the same calls, in the transactions of Tollgate's Postgres store.

import type pg from "pg";
import { type Call, type Limit, WINDOW_SECONDS } from "./calls.ts";
import { CALLS_A_TRANSACTION } from "./floors.ts";
import type { Opened } from "./race.ts";

/** As many as Tollgate has under way with 512 calls in flight. */
const UNDER_WAY = 2;

/** Makes the table of `bareTransactions`, which is stored as Tollgate's. */
export function bareTable(table: string): string {
  return `CREATE TABLE ${table} (key text COLLATE "C" PRIMARY KEY, value text NOT NULL, at bigint NOT NULL) WITH (fillfactor = 50)`;
}

/** Locks, reads and writes the rows that Tollgate does, in the same transactions, by prepared statements. */
export function bareTransactions(limit: Limit, table: string, pool: pg.Pool): Opened {
  const lock = `SELECT key, value FROM ${table} WHERE key = ANY($1::text[]) ORDER BY key FOR UPDATE`;
  const write = `INSERT INTO ${table} SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, at = excluded.at`;
  const transact = async (client: pg.PoolClient, batch: readonly Call[]): Promise<number> => {
    const counts = Map.groupBy(batch, (call) => `rate:1:{${limit.key(call)}}:${limit.name}`);
    await client.query("BEGIN");
    const { rows } = await client.query({ name: "lock", text: lock, values: [[...counts.keys()]] });
    const spent = new Map<string, number>(rows.map(({ key, value }) => [key, Number(value)]));
    const admitted = [...counts].map(([key, calls]): [key: string, count: number] => {
      return [key, Math.min(calls.length, Math.max(0, limit.quota - (spent.get(key) ?? 0)))];
    });
    const values = admitted.map(([key, count]) => String((spent.get(key) ?? 0) + count));
    const endMs = String(Date.now() + WINDOW_SECONDS * 1_000);
    const columns = [[...counts.keys()], values, values.map(() => endMs)];
    await client.query({ name: "write", text: write, values: columns });
    await client.query("COMMIT");
    return admitted.reduce((sum, [, count]) => sum + count, 0);
  };
  const decideAll = async (calls: readonly Call[]) => {
    let [next, admitted] = [0, 0];
    const lane = async () => {
      const client = await pool.connect();
      while (next < calls.length) {
        const from = next;
        next += CALLS_A_TRANSACTION;
        const passed = await transact(client, calls.slice(from, next));
        admitted += passed;
      }
      client.release();
    };
    await Promise.all(Array.from({ length: UNDER_WAY }, lane));
    return admitted;
  };
  return {
    decide: async (call) => decideAll([call]),
    allows: (admitted) => admitted === 1,
    decideAll,
    close: () => pool.end(),
  };
}
