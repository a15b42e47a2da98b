// The service: its own routes, and one that does everything but decide. `instance.ts LIMITS STORE [WHERE]` has so many limits. WHERE is
// the port of a Redis, the file of a SQLite or the URL of a Postgres.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono/tiny";
import { Redis } from "ioredis";
import pg from "pg";
import { boundsOf } from "../../src/service/bounds.ts";
import type { ServiceContext } from "../../src/service/context.ts";
import { answer } from "../../src/service/exchange.ts";
import { createService } from "../../src/service/handler.ts";
import { prometheusMetrics } from "../../src/service/prometheus.ts";
import { DECIDING } from "../../src/service/routes.ts";
import type { Store } from "../../src/store/store.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { postgresStore } from "../../src/stores/postgres.ts";
import { redisStore } from "../../src/stores/redis.ts";
import { sqliteStore } from "../../src/stores/sqlite.ts";
import { answerParent } from "../children.ts";

/** A server's port, and how busy its event loop was since the last question. */
export interface ServerState {
  readonly port: number;
  readonly utilization: number;
}

/** None is ever used up. */
const LIMITS = [
  "{ name: tool-per-session, per: [session, tool], quota: 1000000000, resetAfterIdle: 24h }",
  "{ name: tool-per-turn, per: [session, turn, tool], quota: 1000000000, resetAfterIdle: 1h }",
  "{ name: tenant-rate, per: [tenant], algorithm: token-bucket, quota: 1000000, window: 1s, burst: 1000000 }",
];

const STORES: Readonly<Record<string, (where: string) => Store>> = {
  memory: () => memoryStore({ maxBuckets: 1_000_000 }),
  SQLite: (where) => sqliteStore(where),
  Redis: (where) => redisStore(new Redis(Number(where))),
  Postgres: (where) => postgresStore(new pg.Pool({ connectionString: where })),
};

const [count, kind = "", where = ""] = process.argv.slice(2);
const store = STORES[kind]?.(where);
if (store === undefined) throw new Error(`there is no store ${kind}`);
const policy = `version: 1\nlimits: [${LIMITS.slice(0, Number(count)).join(", ")}]`;
const service = createService({ policy, store, keys: false, metrics: prometheusMetrics() });

const decision = await service.limiter.peek({ tool: "web_search", session: "s1", turn: "t1", tenant: "acme" });
const [consume] = DECIDING;
if (consume === undefined) throw new Error("there is no first route");
const context: ServiceContext = {
  ...({} as ServiceContext),
  bounds: boundsOf(),
  keys: false,
  ...(service.metrics === undefined ? {} : { metrics: service.metrics }),
  inFlight: 0,
  phase: "open",
};
const app = new Hono();
const route = { ...consume, path: "/noop", run: () => decision } as const;
app.on("POST", "/noop", ({ req }) => answer(context, route, req.raw));

const listener = getRequestListener((request) =>
  request.url.endsWith("/noop") ? app.fetch(request) : service.fetch(request),
);
const server = createServer({ keepAliveTimeout: 60_000 }, listener).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
let before = performance.eventLoopUtilization();
answerParent((): ServerState => {
  const { utilization } = performance.eventLoopUtilization(before);
  before = performance.eventLoopUtilization();
  return { port, utilization };
});
