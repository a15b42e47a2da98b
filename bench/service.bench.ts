// The service under 50 kept connections: single decisions and batches of 100, beside a route of the same server that does
// everything but decide. The rounds are interleaved, and the figures to compare are the ratios.
//
// npm run bench:service -- [--short] [--write]

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Client } from "undici";
import { type Children, startChildren } from "./children.ts";
import { aboutLines, boundRun, circumstances, median, number, ratioOf, spread, table } from "./harness.ts";
import { inTurn } from "./race.ts";
import { startRedis } from "./servers.ts";

const MAX_MINUTES = 10;
const CONNECTIONS = 50;
const BATCH = 100;
const SESSIONS = 1_000;
const GOALS = { single: 0.7, batch: 5 };

const { values } = parseArgs({ options: { short: { type: "boolean" }, write: { type: "boolean" } } });
const rounds = values.short ? 1 : 5;
const roundMs = values.short ? 300 : 800;
boundRun(MAX_MINUTES);

const callOf = (i: number) => ({ tool: "web_search", session: `s${i % SESSIONS}`, turn: `t${i}`, tenant: "acme" });
const singles = Array.from({ length: 2_000 }, (_, i) => JSON.stringify({ call: callOf(i) }));
const batches = Array.from({ length: 50 }, (_, i) => {
  const items = Array.from({ length: BATCH }, (_, j) => ({ op: "consume", call: callOf(i * BATCH + j) }));
  return JSON.stringify({ items });
});
const LANES = [
  { name: "no-op", path: "/noop", bodies: singles, decisions: 1 },
  { name: "single", path: "/v1/consume", bodies: singles, decisions: 1 },
  { name: "batch", path: "/v1/batch", bodies: batches, decisions: BATCH },
];

/** What a server answers: its port, and how busy its event loop was since the last question. */
export interface ServerState {
  readonly port: number;
  readonly utilization: number;
}

interface Server {
  readonly name: string;
  readonly child: Children<null, ServerState>;
  readonly clients: readonly Client[];
}

type Lane = (typeof LANES)[number];

async function load({ child, clients }: Server, { path, bodies, decisions }: Lane) {
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

await using redis = await startRedis();
await using stack = new AsyncDisposableStack();
const start = async (name: string, ...args: string[]): Promise<Server> => {
  const program = new URL("service-worker.ts", import.meta.url);
  const child = stack.use(await startChildren<null, ServerState>(program, { args }));
  const [state] = await child.ask([null]);
  const open = () => stack.adopt(new Client(`http://127.0.0.1:${state?.port}`), (client) => client.close());
  return { name, child, clients: Array.from({ length: CONNECTIONS }, open) };
};
const servers = [
  await start("memory, one limit", "1"),
  await start("memory, three limits", "3"),
  await start("Redis, one limit", "1", String(redis.port)),
  await start("Redis, three limits", "3", String(redis.port)),
];
const about = circumstances("npm run bench:service --", `Redis ${redis.version}`, ["tollgate", "hono", "undici"]);
const contenders = servers.flatMap((server) => LANES.map((lane) => ({ server, lane })));
const measured = await inTurn(contenders, rounds, ({ server, lane }) => load(server, lane));

const rows = contenders.map(({ server, lane: { name } }, i) => {
  const rates = (at: number) => (measured[at] ?? []).map(({ rate }) => rate);
  // The lanes of a server follow each other: no-op, single, batch.
  const ratio =
    name === "batch"
      ? `${ratioOf(rates(i), rates(i - 1)).toFixed(1)} x single`
      : ratioOf(rates(i), rates(i - (i % LANES.length))).toFixed(2);
  const busy = Math.round(median((measured[i] ?? []).map((each) => each.busy)) * 100);
  return [`${server.name}, ${name}`, number(median(rates(i))), spread(rates(i)), ratio, `${busy} %`];
});
const page = `# The service, beside a route that does everything but decide

One run of the command below writes this page.

${aboutLines(about, `${CONNECTIONS} kept connections, ${rounds} rounds of ${roundMs} ms a lane`)}

Wanted: single decisions at least ${GOALS.single} of the no-op route, batches of ${BATCH} at least ${GOALS.batch} times the single rate.

${table(["lane", "decisions/s", "slowest to fastest round", "ratio", "server busy"], rows)}

The no-op route reads, checks and answers the same bodies in the same server, but asks no limiter. Client, server and Redis
share the machine: compare the ratios, because the decisions per second of another machine differ.
`;
console.log(page);
if (values.write) writeFileSync(new URL("RESULTS-service.md", import.meta.url), page);
