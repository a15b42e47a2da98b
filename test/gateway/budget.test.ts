// Two gateways on one Redis share a session's budget: what is let through is the quota, exactly.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { httpGateway, json, modernCall, rawServer } from "./http-gateway.ts";

const redis = await anyRedis();

const CLIENTS = 50;
/** Of each client: 10,000 calls in a wide run. */
const CALLS = cases(10, 200);
const QUOTA = (CLIENTS * CALLS * 3) / 5;

describe("a budget of several gateways", { timeout: 120_000 }, () => {
  it("is shared exactly", async (t) => {
    const { url: upstream, seen } = await rawServer(t, json({ content: [] }));
    const policy: PolicyInput = { version: 1, limits: [{ name: "calls", per: ["session"], quota: QUOTA }] };
    const identity = new Map([["session", { header: "x-session" }]]);
    const gateways = await Promise.all(
      [1, 2].map(() => {
        const store = redisStore(redis.ioredis(), { deadlineMs: 10_000 });
        return httpGateway(t, upstream, { policy, store, calls: { identity } });
      }),
    );
    const { body, headers } = modernCall(1);
    const own = { "content-type": "application/json", "x-session": "shared", ...headers };
    let allowed = 0;
    const client = async (_: unknown, i: number) => {
      for (let n = 0; n < CALLS; n++) {
        const url = gateways[(i + n) % 2]?.url ?? "";
        const response = await fetch(url, { method: "POST", headers: own, body });
        const { result } = (await response.json()) as { result: { isError?: boolean } };
        if (result.isError !== true) allowed++;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    assert.deepEqual([allowed, seen.length], [QUOTA, QUOTA]);
  });
});
