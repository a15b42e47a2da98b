// Commands whose server, or a proxy before it, does not let go of the connection at the end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import { after, describe, it, type TestContext } from "node:test";
import pg from "pg";
import { migrate } from "tollgate/stores/postgres";
import { start } from "../e2e/tollgate.ts";
import { startPostgres } from "../postgres.ts";
import { ownServers, startRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";

const endings: (() => unknown)[] = [];
after(() => {
  for (const end of endings) end();
});

/** A proxy that passes everything until a client says goodbye: it answers that, and keeps the connection open. */
async function keeping(port: number, isGoodbye: (bytes: Buffer) => boolean, answer: string): Promise<number> {
  const listener = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const server = createConnection({ port, host: "127.0.0.1", noDelay: true });
    server.on("error", () => {}).on("data", (bytes) => client.write(bytes));
    client
      .on("error", () => {})
      .on("data", (bytes) => {
        if (isGoodbye(bytes)) client.write(answer);
        else server.write(bytes);
      });
    endings.push(
      () => client.destroy(),
      () => server.destroy(),
    );
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  endings.push(() => listener.close());
  return (listener.address() as { port: number }).port;
}

async function ends(context: TestContext, store: string): Promise<void> {
  const { child, ran } = start(["usage", "--store", store, "--session", "s"], temporaryFolder());
  context.after(() => child.kill("SIGKILL"));
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const { status, stdout } = await ran;
  clearTimeout(timer);
  assert.deepEqual([status, /calls-per-session/.test(stdout)], [0, true], "the command did not end");
}

describe("a command ends although its server does not close the connection", { concurrency: true }, () => {
  it("of a Redis", ownServers, async (context) => {
    const { port } = await startRedis();
    await ends(context, `redis://127.0.0.1:${await keeping(port, (bytes) => /quit/i.test(String(bytes)), "+OK\r\n")}`);
  });

  it("of a Postgres", async (context) => {
    const url = new URL((await startPostgres()).url);
    const pool = new pg.Pool({ connectionString: url.href });
    await migrate(pool);
    await pool.end();
    url.port = String(await keeping(Number(url.port), ([first]) => first === 0x58, ""));
    await ends(context, url.href);
  });
});
