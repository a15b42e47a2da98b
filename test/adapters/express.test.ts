import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import express from "express";
import { createLimiter } from "tollgate";
import { expressGuard } from "tollgate/adapters/express";
import { redisStore } from "tollgate/stores/redis";
import { anyRedis } from "../servers.ts";
import { bySession, httpCases, limiterOf, type Serve } from "./http-cases.ts";

const redis = await anyRedis();

async function listen(server: Server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      }),
  };
}

const onError: express.ErrorRequestHandler = (error, _request, response, _next) => {
  response.status(500).type("text").send(String(error));
};

const serve: Serve = async ({ limiter, call, ...options }, where) => {
  const guard = expressGuard(limiter, {
    ...options,
    call: typeof call === "function" ? (req) => call((name) => req.get(name)) : call,
  });
  let handled = 0;
  const handler: express.Handler = (_request, response) => {
    handled++;
    response.send("hello");
  };
  const app = express();
  if (where === "everywhere") app.use(guard);
  app.get("/chat", where === "everywhere" ? [] : guard, handler);
  app.get("/free", handler);
  app.use(onError);
  const { url, close } = await listen(createServer(app));
  return {
    get: (path, session) => fetch(url + path, session === undefined ? {} : { headers: { "x-session": session } }),
    handled: () => handled,
    close,
  };
};

httpCases("express", serve);

describe("express", () => {
  it("reads a call from the parsed body", async () => {
    const app = express();
    const call = (request: express.Request) => ({ tool: "chat", session: String(request.body.session) });
    app.post("/", express.json(), expressGuard(limiterOf(), { call }), (_request, response) => {
      response.json({});
    });
    const { url, close } = await listen(createServer(app));
    const headers = { "content-type": "application/json" };
    const statuses = [];
    for (const session of ["a", "b", "a", "a", "b"]) {
      statuses.push((await fetch(url, { method: "POST", headers, body: JSON.stringify({ session }) })).status);
    }
    assert.deepEqual(statuses, [200, 200, 200, 429, 200]);
    await close();
  });

  it("guards nested routers, and the inner one sets its fields", async () => {
    const inner = limiterOf({ version: 1, limits: [{ name: "inner", per: ["session"], quota: 1 }] });
    const call = (request: express.Request) => ({ tool: "chat", session: request.get("x-session") });
    const router = express.Router().use(expressGuard(inner, { call }));
    router.get("/chat", (_request, response) => {
      response.send("inner");
    });
    const app = express().use(expressGuard(limiterOf(), { call })).use("/deep", router);
    const { url, close } = await listen(createServer(app));
    const headers = { "x-session": "s1" };
    assert.equal((await fetch(`${url}/deep/chat`, { headers })).headers.get("ratelimit-policy"), '"inner";q=1');
    assert.equal((await fetch(`${url}/deep/chat`, { headers })).headers.get("ratelimit-policy"), '"inner";q=1');
    assert.equal((await fetch(`${url}/deep/chat`, { headers })).headers.get("ratelimit-policy"), '"chats";q=2');
    await close();
  });

  it("calls next once, for any outcome", async () => {
    const guard = expressGuard(limiterOf(), { call: () => ({ tool: "chat", session: "s1" }) });
    const response = { statusCode: 200, setHeader() {}, end() {} };
    const request = { headers: {}, get: () => undefined };
    const given: unknown[] = [];
    const failure = new Error("the next one failed");
    const next = (error?: unknown) => {
      given.push(error);
      throw failure;
    };
    await assert.rejects(guard(request, response, next), failure);
    assert.deepEqual(given, [undefined]);
  });

  it("works in plain Node, and answers HEAD without a body", async () => {
    const guard = expressGuard(limiterOf(), { call: () => ({ tool: "chat", session: "s1" }) });
    const server = createServer((request, response) =>
      guard(Object.assign(request, { get: () => undefined }), response, () => response.end("hello")),
    );
    const { url, close } = await listen(server);
    const statuses = [];
    for (let i = 0; i < 3; i++) {
      const response = await fetch(url, { method: "HEAD" });
      statuses.push(response.status);
      assert.equal(await response.text(), "");
    }
    assert.deepEqual(statuses, [200, 200, 429]);
    await close();
  });

  it("admits exactly the quota of parallel requests to three servers on one Redis", async () => {
    const prefix = `http-${process.pid}`;
    const limiters = Array.from({ length: 3 }, () =>
      createLimiter({
        policy: { version: 1, limits: [{ name: "chats", per: ["session"], quota: 20 }] },
        store: redisStore(redis.ioredis()),
        failover: { deadlineMs: 10_000 },
        prefix,
      }),
    );
    const servers = await Promise.all(limiters.map((limiter) => serve({ limiter, call: bySession }, "everywhere")));
    const asked = Array.from({ length: 90 }, (_, i) => servers[i % 3]?.get("/chat", "s1"));
    const statuses = (await Promise.all(asked)).map((response) => response?.status);
    assert.equal(statuses.filter((status) => status === 200).length, 20);
    assert.equal(statuses.filter((status) => status === 429).length, 70);
    for (const server of servers) await server.close?.();
    for (const limiter of limiters) await limiter.close();
  });
});
