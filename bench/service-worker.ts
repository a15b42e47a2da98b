// The service of its benchmark, in a process of its own: the routes that ship, and one that does all but decide.

import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono/tiny";
import { Redis } from "ioredis";
import type { ServiceContext } from "../src/service/context.ts";
import { answer } from "../src/service/exchange.ts";
import { createService } from "../src/service/handler.ts";
import { boundsOf } from "../src/service/bounds.ts";
import { DECIDING } from "../src/service/routes.ts";
import { memoryStore } from "../src/stores/memory.ts";
import { redisStore } from "../src/stores/redis.ts";

/** Of which none is ever used up. */
const limits = [
  "{ name: tool-per-session, per: [session, tool], quota: 1000000000, resetAfterIdle: 24h }",
  "{ name: tool-per-turn, per: [session, turn, tool], quota: 1000000000, resetAfterIdle: 1h }",
  "{ name: tenant-rate, per: [tenant], algorithm: token-bucket, quota: 1000000, window: 1s, burst: 1000000 }",
];

const [count, port] = process.argv.slice(2);
const policy = `version: 1\nlimits: [${limits.slice(0, Number(count)).join(", ")}]`;
const store = port === undefined ? memoryStore({ maxBuckets: 1_000_000 }) : redisStore(new Redis(Number(port)));
const service = createService({ policy, store, keys: false });

const call = { tool: "web_search", session: "s1", turn: "t1", tenant: "acme" };
const decision = await service.limiter.peek(call);
const [consume] = DECIDING;
if (consume === undefined) throw new Error("there is no first route");
const idle: ServiceContext = {
  ...({} as ServiceContext),
  bounds: boundsOf(),
  keys: false,
  metrics: service.metrics,
  inFlight: 0,
  phase: "open",
};
const app = new Hono();
const route = { ...consume, path: "/noop", run: () => decision } as const;
app.on("POST", "/noop", ({ req }) => answer(idle, route, req.raw));

const listener = getRequestListener((request) =>
  request.url.endsWith("/noop") ? app.fetch(request) : service.fetch(request),
);
const server = createServer({ keepAliveTimeout: 60_000 }, listener).listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.send?.({ port: typeof address === "object" ? address?.port : null });
});
let before = performance.eventLoopUtilization();
process.on("message", () => {
  const used = performance.eventLoopUtilization(before);
  before = performance.eventLoopUtilization();
  process.send?.({ utilization: used.utilization });
});
