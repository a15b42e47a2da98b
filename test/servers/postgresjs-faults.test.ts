// postgres.js 3.4 throws outside of every promise when its server ends the connection of a transaction. The lines that the
// docs give keep the process, and its limiter, at work.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startPostgres } from "../postgres.ts";
import { LOADER } from "../sources.ts";

const EACH_MS = 100;
const server = await startPostgres();
const pool = server.pool({ max: 1, application_name: "test" });

interface Counts {
  readonly allowed: number;
  readonly failed: number;
  readonly afterwards: number;
  readonly replaced: number;
  readonly used: number;
}

describe("a process on postgres.js whose server ends its connections again and again", () => {
  it("continues with the settings of the docs, and counts every allowed call", async (context) => {
    const child = fork(join(import.meta.dirname, "postgresjs-worker.ts"), [server.url, "guarded"], {
      execArgv: ["--conditions=tollgate-source", LOADER],
    });
    const said: unknown[] = [];
    child.on("message", (message) => said.push(message));
    const exited = once(child, "exit");
    let isOver = false;
    exited.then(() => {
      isOver = true;
    });
    while (!said.includes("ready") && !isOver) await sleep(10);
    while (!said.includes("worked") && !isOver) {
      await pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'test'",
      );
      await sleep(EACH_MS);
    }
    if (!isOver) child.send("go on");
    assert.deepEqual(await exited, [0, null]);
    const { allowed, failed, afterwards, replaced, used } = said.at(-1) as Counts;
    context.diagnostic(`${allowed} allowed, ${failed} failed, ${replaced} clients replaced, ${used} counted`);
    assert.ok(failed > 0, "the server ended connections under load");
    assert.ok(afterwards > 80, `${afterwards} of 100 calls were allowed afterwards`);
    assert.ok(used >= allowed + afterwards, `${allowed} and ${afterwards} were allowed, ${used} are counted`);
    assert.ok(used <= allowed + afterwards + failed, `${used} are counted of ${allowed + afterwards} and ${failed}`);
  });
});
