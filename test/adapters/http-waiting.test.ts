// Requests that wait: with `maxWaitMs` a burst is served at the rate of its limit. A client that goes away ends the wait.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import { createLimiter, type Limiter, MisuseError } from "tollgate";
import { expressGuard } from "tollgate/adapters/express";
import { fastifyGuard } from "tollgate/adapters/fastify";
import { fetchGuard } from "tollgate/adapters/fetch";
import { honoGuard } from "tollgate/adapters/hono";
import { memoryStore } from "tollgate/stores/memory";

const CALL = { tool: "chat", session: "s1" };

function limiterOf(window: "1s" | "1h"): Limiter {
  const rate = {
    name: "chats",
    per: ["session"],
    algorithm: "token-bucket",
    window,
    quota: window === "1s" ? 20 : 1,
    burst: 1,
  };
  return createLimiter({ policy: { version: 1, limits: [rate as never] }, store: memoryStore() });
}

/** A server behind a guard: what asks it, and what its handler does each time. */
type Serve = (
  options: { readonly limiter: Limiter; readonly call: () => typeof CALL; readonly maxWaitMs: number },
  handle: () => void,
) => Promise<(signal?: AbortSignal) => Promise<Response>>;

const closings: (() => unknown)[] = [];
after(async () => {
  for (const close of closings) await close();
});

const initOf = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });

const SERVERS: Readonly<Record<string, Serve>> = {
  async express({ limiter, ...options }, handle) {
    const app = express();
    app.use(expressGuard(limiter, options));
    app.get("/", (_request, response) => {
      handle();
      response.send("hello");
    });
    const server = createServer(app).listen(0, "127.0.0.1");
    await once(server, "listening");
    closings.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    return (signal) => fetch(`http://127.0.0.1:${port}/`, initOf(signal));
  },
  async fastify({ limiter, ...options }, handle) {
    const app = Fastify({ forceCloseConnections: true });
    await app.register(fastifyGuard(limiter, options));
    app.get("/", async () => {
      handle();
      return "hello";
    });
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    closings.push(() => app.close());
    return (signal) => fetch(url, initOf(signal));
  },
  async hono({ limiter, ...options }, handle) {
    const app = new Hono();
    app.use(honoGuard(limiter, options));
    app.get("/", (c) => {
      handle();
      return c.text("hello");
    });
    return async (signal) => app.request("/", initOf(signal));
  },
  async fetch({ limiter, ...options }, handle) {
    const handler = fetchGuard(
      limiter,
      options,
    )((_request: Request) => {
      handle();
      return new Response("hello");
    });
    return (signal) => handler(new Request("http://localhost/", initOf(signal)));
  },
};

for (const [name, serve] of Object.entries(SERVERS)) {
  describe(`${name} with maxWaitMs`, () => {
    it("serves a burst at the rate of its limit", async () => {
      const handledAtMs: number[] = [];
      const options = { limiter: limiterOf("1s"), call: () => CALL, maxWaitMs: 30_000 };
      const ask = await serve(options, () => handledAtMs.push(performance.now()));
      const startedMs = performance.now();
      const answers = await Promise.all(Array.from({ length: 5 }, () => ask()));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200, 200, 200],
      );
      assert.equal(handledAtMs.length, 5);
      // A busy machine may run the first handler late, so the distance between the first and the last says nothing.
      assert.ok((handledAtMs[4] ?? 0) - startedMs >= 190);
    });

    it("answers 429 at once where it would have to wait for longer", async () => {
      const ask = await serve({ limiter: limiterOf("1h"), call: () => CALL, maxWaitMs: 1_000 }, () => {});
      assert.deepEqual([(await ask()).status, (await ask()).status], [200, 429]);
    });

    it("ends the wait of a client that disconnects, frees its turn, and runs no handler", async () => {
      let handled = 0;
      const limiter = limiterOf("1h");
      const used = async () => (await limiter.usage({ session: "s1" }))[0]?.used;
      const ask = await serve({ limiter, call: () => CALL, maxWaitMs: 3_600_000 }, () => {
        handled++;
      });
      assert.equal((await ask()).status, 200);
      const leaves = new AbortController();
      const asked = ask(leaves.signal).then(
        ({ status }) => status,
        () => 499,
      );
      while ((await used()) !== 2) await sleep(2);
      leaves.abort();
      assert.equal(await asked, 499);
      while ((await used()) !== 1) await sleep(2);
      assert.equal(handled, 1);
    });

    it("refuses another wait than a whole number of ms up to an hour", async () => {
      for (const maxWaitMs of [-1, 0.5, 3_600_001]) {
        await assert.rejects(
          serve({ limiter: limiterOf("1h"), call: () => CALL, maxWaitMs }, () => {}),
          (error) => MisuseError.isInstance(error) && error.faults[0]?.path === "maxWaitMs",
        );
      }
    });
  });
}
