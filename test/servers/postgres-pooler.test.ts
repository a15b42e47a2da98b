// The store on Postgres behind PgBouncer in transaction mode, where each transaction may have another connection of the server:
// what was prepared on one is not on the other. Skipped where PgBouncer is not installed.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { type LimitSpec, StoreError, type StoreRequest } from "tollgate/store";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { freePort } from "../free-port.ts";
import { startPostgres } from "../postgres.ts";
import { temporaryFolder } from "../temporary.ts";

const PROGRAM = "pgbouncer";
const isInstalled = spawnSync(PROGRAM, ["--version"]).status === 0;

/** A pooler with fewer connections to the server than clients have to it. */
async function startPooler(serverUrl: string): Promise<string> {
  const { port: serverPort } = new URL(serverUrl);
  const [port, folder] = [await freePort(), temporaryFolder()];
  const settings = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: "transaction",
    default_pool_size: 3,
    ...(process.getuid?.() === 0 ? { user: "postgres" } : {}),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  const databases = `[databases]\npostgres = host=127.0.0.1 port=${serverPort} user=tollgate\n`;
  const file = join(folder, "pgbouncer.ini");
  writeFileSync(file, `${databases}[pgbouncer]\n${lines.join("\n")}\n`);
  // PgBouncer reads it as another user than root.
  chmodSync(folder, 0o755);
  const child = spawn(PROGRAM, ["-q", file], { stdio: "ignore" });
  after(() => child.kill("SIGKILL"));
  const url = `postgres://tollgate@127.0.0.1:${port}/postgres`;
  for (let waited = 0; ; waited += 50) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      await client.end();
      return url;
    } catch (error) {
      if (waited > 10_000) throw error;
      await sleep(50);
    }
  }
}

describe("the store behind PgBouncer in transaction mode", {
  skip: !isInstalled && `${PROGRAM} is not installed`,
}, () => {
  const QUOTA = 400;
  const limit: LimitSpec = { algorithm: "budget", quota: QUOTA, ttlMs: 600_000, ttlFrom: "first" };
  const roomy: LimitSpec = { ...limit, quota: 1_000_000 };
  const requestOf = (n: number): StoreRequest => ({
    mode: "judge",
    steps: [
      { bucket: "all", limit, event: { type: "charge", cost: 1 } },
      { bucket: `own-${n % 50}`, limit: roomy, event: { type: "charge", cost: 1 } },
    ],
  });

  it("admits exactly the quota through many clients, and no call fails", async () => {
    const server = await startPostgres();
    const direct = server.pool();
    await migrate(direct);
    const url = await startPooler(server.url);
    const sent: string[] = [];
    const stores = Array.from({ length: 3 }, () => {
      const pool = server.pool({ connectionString: url, max: 5 });
      pool.on("connect", (client) => {
        const query = client.query.bind(client) as (...args: unknown[]) => unknown;
        client.query = ((...args: unknown[]) => {
          sent.push(String(args[0]));
          return query(...args);
        }) as typeof client.query;
      });
      return postgresStore(pool, { deadlineMs: 60_000 });
    });
    let admitted = 0;
    const ask = async (n: number) => {
      const answers = (await stores[n % 3]?.apply([requestOf(n)])) ?? [];
      for (const answer of answers) {
        assert.ok(!StoreError.isInstance(answer), String(answer));
        if (answer.allowed) admitted++;
      }
    };
    for (let first = 0; first < 600; first += 30) {
      await Promise.all(Array.from({ length: 30 }, (_, i) => ask(first + i)));
    }
    assert.equal(admitted, QUOTA);
    const { rows } = await direct.query("SELECT value FROM tollgate_buckets WHERE key = 'all'");
    assert.equal(rows[0]?.value, String(QUOTA));
    const last = sent.slice(-30);
    assert.ok(sent.some((text) => text.includes("PREPARE")));
    assert.ok(!last.some((text) => /PREPARE|EXECUTE/.test(text)), "they are sent with all of their text in the end");
  });
});
