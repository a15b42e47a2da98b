// The service under 50 connections that are kept: single decisions beside a route of the same server that does all but
// decide, and batches of 100. One run, interleaved rounds; the figures to compare are the ratios.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Client } from "undici";
import { aboutLines, circumstances, median, number, progress, table } from "./harness.ts";
import { startRedis } from "./redis-server.ts";

const CONNECTIONS = 50;
const BATCH = 100;
const GOALS = { single: 0.7, batch: 5 };
const SESSIONS = 1_000;

const { values } = parseArgs({ options: { short: { type: "boolean" }, write: { type: "boolean" } } });
const rounds = values.short ? 1 : 5;
const roundMs = values.short ? 300 : 800;

interface Lane {
  readonly store: string;
  readonly name: "no-op" | "single" | "batch";
  readonly path: string;
  readonly bodies: readonly string[];
  readonly decisions: number;
}

const callOf = (i: number) => ({ tool: "web_search", session: `s${i % SESSIONS}`, turn: `t${i}`, tenant: "acme" });
const singles = Array.from({ length: 2_000 }, (_, i) => JSON.stringify({ call: callOf(i) }));
const batches = Array.from({ length: 50 }, (_, i) => {
  const items = Array.from({ length: BATCH }, (_, j) => ({ op: "consume", call: callOf(i * BATCH + j) }));
  return JSON.stringify({ items });
});

class Server {
  readonly #child: ChildProcess;
  readonly clients: readonly Client[];

  constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.clients = Array.from({ length: CONNECTIONS }, () => new Client(`http://127.0.0.1:${port}`));
  }

  /** How busy its event loop was since it was asked last. */
  async utilization(): Promise<number> {
    this.#child.send("utilization");
    const [answer] = await once(this.#child, "message");
    return (answer as { utilization: number }).utilization;
  }

  async end(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
    this.#child.kill();
    await once(this.#child, "exit");
  }
}

async function start(...args: string[]): Promise<Server> {
  const child = fork(new URL("service-worker.ts", import.meta.url), args, { execArgv: process.execArgv });
  const [answer] = await once(child, "message");
  return new Server(child, (answer as { port: number }).port);
}

/** Answers per second, and how busy the server was. */
async function load(server: Server, { path, bodies }: Lane): Promise<{ perSecond: number; utilization: number }> {
  await server.utilization();
  const startedMs = performance.now();
  let next = 0;
  let answered = 0;
  const headers = { "content-type": "application/json" };
  await Promise.all(
    server.clients.map(async (client) => {
      while (performance.now() - startedMs < roundMs) {
        const body = bodies[next++ % bodies.length] ?? "";
        const response = await client.request({ method: "POST", path, headers, body });
        const text = await response.body.text();
        if (response.statusCode !== 200 || text.includes('"allowed":false')) throw new Error(`${path}: ${text}`);
        answered++;
      }
    }),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  return { perSecond: answered / seconds, utilization: await server.utilization() };
}

const redis = await startRedis();
const servers = new Map([
  ["memory, one limit", await start("1")],
  ["memory, three limits", await start("3")],
  ["Redis, one limit", await start("1", String(redis.port))],
  ["Redis, three limits", await start("3", String(redis.port))],
]);
const lanes = [...servers.keys()].flatMap((store): Lane[] => [
  { store, name: "no-op", path: "/noop", bodies: singles, decisions: 1 },
  { store, name: "single", path: "/v1/consume", bodies: singles, decisions: 1 },
  { store, name: "batch", path: "/v1/batch", bodies: batches, decisions: BATCH },
]);
const about = circumstances("npm run bench:service --", `Redis ${redis.version}`, ["tollgate", "hono", "undici"]);
const measured = lanes.map(() => ({ rates: [] as number[], busy: [] as number[] }));
try {
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const [i, lane] of lanes.entries()) {
      const server = servers.get(lane.store);
      if (server === undefined) throw new Error("no such server");
      const { perSecond, utilization } = await load(server, lane);
      if (round === 0) continue;
      measured[i]?.rates.push(perSecond * lane.decisions);
      measured[i]?.busy.push(utilization);
    }
  }
} finally {
  for (const server of servers.values()) await server.end();
  await redis.stop();
}

const ratesOf = (store: string, name: Lane["name"]) =>
  measured[lanes.findIndex((lane) => lane.store === store && lane.name === name)]?.rates ?? [];
const ratioOf = (store: string, name: Lane["name"], to: Lane["name"]) =>
  median(ratesOf(store, name).map((rate, round) => rate / (ratesOf(store, to)[round] ?? Number.NaN)));
const rows = lanes.map(({ store, name }, i) => {
  const { rates = [], busy = [] } = measured[i] ?? {};
  const spread = `${number(Math.min(...rates))} to ${number(Math.max(...rates))}`;
  const to =
    name === "batch"
      ? `${ratioOf(store, name, "single").toFixed(1)} x single`
      : ratioOf(store, name, "no-op").toFixed(2);
  return [`${store}, ${name}`, number(median(rates)), spread, to, `${Math.round(median(busy) * 100)} %`];
});
const page = [
  "# The service, beside a route that does all but decide",
  "",
  "Written by the command below from one run; nothing here is edited by hand.",
  "",
  aboutLines(about, `${CONNECTIONS} kept connections, ${rounds} rounds of ${roundMs} ms a lane`),
  "",
  `Wanted: single decisions at least ${GOALS.single} of the no-op route, batches of ${BATCH} at least ${GOALS.batch} times the single rate.`,
  "",
  table(["lane", "decisions/s", "slowest to fastest round", "ratio", "server busy"], rows),
  "",
  "The no-op route reads, checks and answers the same bodies in the same server, and asks no limiter. Client, server and",
  "Redis share the machine: compare the ratios, and carry no decisions per second to another one.",
  "",
].join("\n");
console.log(page);
if (values.write) writeFileSync(new URL("RESULTS-service.md", import.meta.url), page);
