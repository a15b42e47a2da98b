// The service under 50 kept connections, on each store: single decisions and batches of 100, beside a route of the same server
// that does everything but decide.

import { join } from "node:path";
import { Client } from "undici";
import { migrate } from "tollgate/stores/postgres";
import { type Children, startChildren } from "../children.ts";
import { median, number, percent, ratioOf, spread } from "../harness.ts";
import { inTurn } from "../race.ts";
import { atLeast, type Goal, type Section } from "../section.ts";
import { startPostgres, startRedis, temporaryFolder } from "../servers.ts";
import type { ServerState } from "../service/instance.ts";

const CONNECTIONS = 50;
const BATCH = 100;
const SESSIONS = 1_000;
const TO_NO_OP = 0.8;
const TO_SINGLE = 5;
const FULL = { rounds: 5, roundMs: 800 };
const SHORT = { rounds: 1, roundMs: 50 };

const callOf = (i: number) => ({ tool: "web_search", session: `s${i % SESSIONS}`, turn: `t${i}`, tenant: "acme" });
const singles = Array.from({ length: 2_000 }, (_, i) => JSON.stringify({ call: callOf(i) }));
const batches = Array.from({ length: 50 }, (_, i) => {
  const items = Array.from({ length: BATCH }, (_, j) => ({ op: "consume", call: callOf(i * BATCH + j) }));
  return JSON.stringify({ items });
});

interface Lane {
  readonly name: string;
  readonly path: string;
  readonly bodies: readonly string[];
  readonly decisions: number;
}

const NO_OP: Lane = { name: "no-op", path: "/noop", bodies: singles, decisions: 1 };
const SINGLE: Lane = { name: "single", path: "/v1/consume", bodies: singles, decisions: 1 };
const MANY: Lane = { name: `batches of ${BATCH}`, path: "/v1/batch", bodies: batches, decisions: BATCH };
const LANES = [NO_OP, SINGLE, MANY];

interface Server {
  readonly name: string;
  readonly child: Children<null, ServerState>;
  readonly clients: readonly Client[];
}

export const section: Section = {
  title: "The service",
  needs: ["redis", "postgres"],
  meaning: `${CONNECTIONS} kept connections, each with one request after the other. The no-op route reads, checks and answers the same bodies in
the same server, but asks no limiter. Client, server and the store's server share the machine. "Server busy" is how much of its time
the server's event loop was at work. With several processors at hand, a service on Redis or Postgres is faster to its no-op route than here.`,

  async measure(isShort) {
    const { rounds, roundMs } = isShort ? SHORT : FULL;
    await using redis = await startRedis();
    await using postgres = await startPostgres();
    await migrate(postgres.control);
    using folder = temporaryFolder();
    await using stack = new AsyncDisposableStack();
    const start = async (limits: number, store: string, where = ""): Promise<Server> => {
      const program = new URL("../service/instance.ts", import.meta.url);
      const args = [String(limits), store, where];
      const child = stack.use(await startChildren<null, ServerState>(program, { args }));
      const [state] = await child.ask([null]);
      const open = () => stack.adopt(new Client(`http://127.0.0.1:${state?.port}`), (client) => client.close());
      return {
        name: `${store}, ${limits === 1 ? "one limit" : "three limits"}`,
        child,
        clients: Array.from({ length: CONNECTIONS }, open),
      };
    };
    const servers: Server[] = [];
    for (const limits of [1, 3]) {
      servers.push(
        await start(limits, "memory"),
        await start(limits, "SQLite", join(folder.path, `${limits}.db`)),
        await start(limits, "Redis", String(redis.port)),
        await start(limits, "Postgres", postgres.url),
      );
    }
    const contenders = servers.flatMap((server) => LANES.map((lane) => ({ server, lane })));
    const measured = await inTurn(contenders, rounds, ({ server, lane }) => load(server, lane, roundMs));
    const measuredOf = (server: Server, lane: Lane) => {
      const i = contenders.findIndex((each) => each.server === server && each.lane === lane);
      return measured[i] ?? [];
    };
    const ratesOf = (server: Server, lane: Lane) => measuredOf(server, lane).map(({ rate }) => rate);
    const busyOf = (server: Server, lane: Lane) => median(measuredOf(server, lane).map(({ busy }) => busy));
    const rows = contenders.map(({ server, lane }) => {
      const rates = ratesOf(server, lane);
      const toNoOp = ratioOf(rates, ratesOf(server, NO_OP)).toFixed(2);
      return [
        `${server.name}, ${lane.name}`,
        number(median(rates)),
        spread(rates),
        toNoOp,
        percent(busyOf(server, lane)),
      ];
    });
    /** µs of the server's event loop for a decision. */
    const workOf = (server: Server, lane: Lane) =>
      ((busyOf(server, lane) * 1e6) / median(ratesOf(server, lane))).toFixed(0);
    const goals = servers.flatMap((server): Goal[] => {
      const what = `service, ${server.name}`;
      const single = ratesOf(server, SINGLE);
      const inMemory = servers.find(({ name }) => name === server.name.replace(/^\w+/, "memory")) ?? server;
      const ofSingle = `The service itself works ${workOf(server, SINGLE)} µs for a decision and ${workOf(server, NO_OP)} for a no-op. The rest of the time it waits for the store and the client, with which it shares the cores.`;
      const ofBatch = `In a batch, the service works ${workOf(server, MANY)} µs for a decision, and ${workOf(inMemory, MANY)} with the memory store. Single decisions that come together share transactions or scripts, too: a batch saves only their requests.`;
      return [
        atLeast(`${what}: a decision to a no-op POST`, TO_NO_OP, ratioOf(single, ratesOf(server, NO_OP)), ofSingle),
        atLeast(
          `${what}: ${MANY.name}, to single decisions`,
          TO_SINGLE,
          ratioOf(ratesOf(server, MANY), single),
          ofBatch,
        ),
      ];
    });
    return {
      work: `${CONNECTIONS} kept connections, ${rounds} rounds of ${roundMs} ms a lane`,
      goals,
      tables: [{ head: ["lane", "decisions/s", "slowest to fastest round", "to no-op", "server busy"], rows }],
    };
  },
};

async function load({ child, clients }: Server, { path, bodies, decisions }: Lane, roundMs: number) {
  await child.ask([null]);
  const startedMs = performance.now();
  let [next, answered] = [0, 0];
  const headers = { "content-type": "application/json" };
  const caller = async (client: Client) => {
    while (performance.now() - startedMs < roundMs) {
      const body = bodies[next++ % bodies.length] ?? "";
      const response = await client.request({ method: "POST", path, headers, body });
      const text = await response.body.text();
      if (response.statusCode !== 200 || text.includes('"allowed":false')) throw new Error(`${path}: ${text}`);
      answered++;
    }
  };
  await Promise.all(clients.map(caller));
  const seconds = (performance.now() - startedMs) / 1_000;
  const [state] = await child.ask([null]);
  return { rate: (answered * decisions) / seconds, busy: state?.utilization ?? Number.NaN };
}
