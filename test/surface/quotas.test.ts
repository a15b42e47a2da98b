// What a program writes whose customers' quotas are in its database. Before, it wrote a policy file with a line for each of them.

import assert from "node:assert/strict";
import { it } from "node:test";
import { createLimiter } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { memoryStore } from "tollgate/stores/memory";

/** Stands for a database of customers. */
const rows = new Map(Array.from({ length: 20_000 }, (_, n) => [String(n), { quota: n % 5 }] as const));

it("takes my customers' quotas from my database", async () => {
  const policy = parsePolicy(`
version: 1
limits:
  - { name: monthly-calls, per: [tenant], window: month, quota: { from: call, default: 1, max: 1000000 } }
`);
  const limiter = createLimiter({
    policy,
    store: memoryStore(),
    quotas: async ({ dimensions }) => rows.get(dimensions.tenant ?? "")?.quota,
  });
  for (const [tenant, { quota }] of [...rows].slice(0, 100)) {
    for (let n = 0; n <= quota; n++) assert.equal((await limiter.consume({ tool: "x", tenant })).allowed, n < quota);
  }
  assert.equal((await limiter.usage({ tenant: "unheard-of" }))[0]?.quota, 1);
});

it("takes a quota from the call, and a typo does not compile", async () => {
  const limiter = createLimiter({
    policy: {
      version: 1,
      limits: [
        { name: "monthly-calls", per: ["tenant"], window: "month", quota: { from: "call", default: 1, max: 1_000 } },
        { name: "hard", per: ["tenant"], quota: 5_000 },
      ],
    },
    store: memoryStore(),
  });
  const call = { tool: "x", tenant: "acme" };
  const decision = await limiter.consume(call, { quotas: { "monthly-calls": 500 } });
  assert.deepEqual([decision.allowed, decision.verdicts[0]?.remaining], [true, 499]);
  await limiter.for({ tenant: "acme" }).consume({ tool: "x" }, { quotas: { "monthly-calls": "unlimited" } });
  // @ts-expect-error a typo
  await assert.rejects(limiter.consume(call, { quotas: { "montly-calls": 500 } }), { code: "invalid-option" });
  // @ts-expect-error this limit has a quota of its own
  await assert.rejects(limiter.usage(call, { quotas: { hard: 500 } }), { code: "invalid-option" });
  // @ts-expect-error a text
  await assert.rejects(limiter.peek(call, { quotas: { "monthly-calls": "500" } }), { code: "invalid-option" });
});
