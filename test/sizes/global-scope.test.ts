// A Worker refuses timers, random values and requests in its global scope, where programs make their limiters.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { bundleProgram, installPackage } from "../../scripts/package/size.ts";
import { temporaryFolder } from "../temporary.ts";
import { startBackend } from "./backend.ts";
import { RUNNERS } from "./platforms.ts";

/** Expressions that make a limiter; `url` is the backend's. */
const LIMITERS = {
  "with the memory store": "createLimiter({ policy, store: memoryStore(), onEvent() {} })",
  "with the Redis store": "createLimiter({ policy, store: redisStore({ call: askRedis }), onEvent() {} })",
  "of a service": `createRemoteLimiter({ url, onEvent() {} })`,
  "of a service, which decides alone while the service is away":
    "createRemoteLimiter({ url, failover: localFailover({ policy, instances: 2 }) })",
};

const program = (url: string, limiter: string) => `
import { createLimiter } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { localFailover } from "tollgate/client/failover";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
const url = ${JSON.stringify(url)};
async function askRedis(...command) {
  const { reply, error } = await (await fetch(url + "/redis", { method: "POST", body: JSON.stringify(command) })).json();
  if (error !== undefined) throw new Error(error);
  return reply;
}
const policy = { version: 1, limits: [
  { name: "per-session", per: ["session"], quota: 1 },
  { name: "per-day", per: [], algorithm: "fixed-window", window: "day", timezone: "Europe/Berlin", quota: 1_000 },
] };
const limiter = ${limiter};
export async function run() {
  const call = { tool: "search", session: crypto.randomUUID() };
  return [(await limiter.consume(call)).allowed, (await limiter.consume(call)).allowed];
}
`;

describe("the global scope of a Worker", async () => {
  const folder = temporaryFolder();
  await installPackage(folder);
  const backend = await startBackend();
  after(() => backend[Symbol.asyncDispose]());

  for (const [name, limiter] of Object.entries(LIMITERS)) {
    it(`makes a limiter ${name}, for calls of a request`, async () => {
      const bundled = await bundleProgram(program(backend.url, limiter), folder, "workerd");
      assert.deepEqual(await RUNNERS.workerd(folder)(bundled, "global", backend.url), [true, false]);
    });
  }
});
