// Connections to the service that fall silent: each call that runs into one ends it, so that new ones are made.

import assert from "node:assert/strict";
import { it } from "node:test";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { served } from "../service/served.ts";
import { SilentProxy } from "../silent-proxy.ts";

it("serves all calls again within seconds after all connections of the pool have fallen silent", async () => {
  const policy = { version: 1, limits: [{ name: "session", per: ["session"], quota: 1_000_000 }] } as const;
  const server = await served({ policy, store: memoryStore() });
  const proxy = await SilentProxy.start(Number(new URL(server.url).port));
  const limiter = createRemoteLimiter({ url: `http://127.0.0.1:${proxy.port}`, deadlineMs: 2_000 });
  const calls = Array.from({ length: 800 }, (_, i) => ({ tool: "search", session: `s${i % 50}` }));
  const failed = async () => {
    const results = await Promise.allSettled(calls.map((call) => limiter.consume(call)));
    return results.filter(({ status }) => status === "rejected").length;
  };
  const allServed = async () => {
    const endsAtMs = performance.now() + 15_000;
    while ((await failed()) > 0) assert.ok(performance.now() < endsAtMs, "some calls still fail");
  };
  await allServed();
  assert.ok(proxy.open > 1, `${proxy.open} connections`);
  proxy.silence();
  await allServed();
  await limiter.close();
});
