import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { redisStore } from "../../src/stores/redis.ts";
import { anyRedis } from "../servers.ts";
import { fits, keysOf, served } from "./served.ts";

const redis = await anyRedis();
const client = redis.ioredis();
await client.flushall();
let commands = 0;
const { keys, texts } = keysOf({ acme: { scopes: ["decide"], tenants: ["acme"] } });
const { post, ask } = await served({ store: redisStore(counting(client)), bounds: { maxBatchItems: 500 } });

/** The client, which counts how often scripts run. */
function counting(of: typeof client): typeof client {
  return new Proxy(of, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name === "evalsha" || (name === "call" && String(args[0]).toUpperCase() === "EVALSHA")) commands++;
        return value.apply(target, args);
      };
    },
  });
}

describe("a batch", () => {
  it("answers each item in order, separately", async () => {
    const call = { tool: "search", session: "batch-1" };
    const held = await post("/v1/reserve", { call: { tool: "book", session: "batch-1" } });
    const { status, json } = await post("/v1/batch", {
      items: [
        { op: "consume", call },
        { op: "peek", call },
        { op: "consume", call: { tool: "search" } },
        { op: "record", call: { ...call, cost: { calls: 2 } } },
        { op: "settle", holdId: held.json.holdId, call: { tool: "book", session: "batch-1" }, usage: { tokens: 1 } },
        { op: "release", holdId: "unknown", call: { tool: "book", session: "batch-1" } },
        { op: "report", call, error: true },
        { op: "extend", holdId: "h", call: { tool: "book", session: "batch-1" }, leaseMs: 0 },
        { op: "usage" },
        { call },
        [],
        null,
        { op: "consume", call, maxWaitMs: 100 },
        { op: "begin", call, maxWaitMs: 100 },
        { op: "reserve", call: { tool: "book", session: "batch-1", cost: { tokens: 1_000 } } },
      ],
    });
    assert.equal(status, 200);
    assert.ok(fits("/v1/batch", json), JSON.stringify(json));
    const { items } = json;
    assert.deepEqual(
      items.map(({ status, body }: { status: number; body: { code?: string } | null }) => body?.code ?? status),
      [
        200,
        200,
        "missing-dimension",
        200,
        200,
        "unknown-hold",
        204,
        "invalid-body",
        "invalid-body",
        "invalid-body",
        "invalid-body",
        "invalid-body",
        "invalid-body",
        "invalid-body",
        200,
      ],
    );
    assert.equal(items[0].body.verdicts[0].remaining, 3);
    assert.deepEqual([items[14].body.allowed, items[14].body.holdId], [false, null]);
  });

  it("goes to the store as one", async () => {
    const items = Array.from({ length: 100 }, (_, i) => ({
      op: "consume",
      call: { tool: "search", session: `together-${i}` },
    }));
    await post("/v1/batch", { items: items.slice(0, 1) });
    const before = commands;
    const { json } = await post("/v1/batch", { items });
    assert.equal(
      json.items.every(({ body }: { body: { allowed: boolean } }) => body.allowed),
      true,
    );
    const asked = commands - before;
    assert.ok(asked >= 1 && asked <= 5, `${asked} scripts for 100 decisions`);
  });

  it("never charges more than the quota, also within itself", async () => {
    const items = Array.from({ length: 20 }, () => ({ op: "consume", call: { tool: "search", session: "within" } }));
    const answers = await Promise.all([1, 2, 3].map(() => post("/v1/batch", { items })));
    const allowed = answers.flatMap(({ json }) => json.items).filter(({ body }) => body.allowed);
    assert.equal(allowed.length, 5);
  });

  it("has a key for each item, and none for all", async () => {
    const item = { op: "consume", call: { tool: "search", session: "keyed", idempotencyKey: "k" } };
    const { json } = await post("/v1/batch", { items: [item, item] });
    assert.deepEqual(
      json.items.map(({ body }: { body: { replayed: boolean } }) => body.replayed),
      [false, true],
    );
    const header = await post("/v1/batch", { items: [item] }, { headers: { "idempotency-key": "k" } });
    assert.deepEqual([header.status, header.json.code], [400, "invalid-header"]);
  });

  it("is bounded", async () => {
    const itemsOf = (count: number) => ({ items: Array.from({ length: count }, () => ({})) });
    for (const count of [0, 501, 1_001]) assert.equal((await post("/v1/batch", itemsOf(count))).status, 400);
    assert.equal((await post("/v1/batch", itemsOf(500))).json.items.length, 500);
  });

  it("keeps tenants apart, item by item", async () => {
    const bound = await served({ keys });
    const call = { tool: "search", session: "s" };
    const items = [call, { ...call, tenant: "globex" }].map((each) => ({ op: "consume", call: each }));
    const { json } = await bound.post("/v1/batch", { items }, { key: texts.acme });
    assert.deepEqual(
      json.items.map(({ status }: { status: number }) => status),
      [200, 403],
    );
    assert.equal((await ask("GET", "/healthz")).status, 200);
  });
});
