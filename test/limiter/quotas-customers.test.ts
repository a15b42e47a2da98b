// Many customers, each with a quota of its own, that are looked up.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";

const server = await anyRedis();

/** How many customers the test of each store has; each asks once more than its quota. */
const CUSTOMERS = { memory: cases(4_000, 50_000), Redis: cases(4_000, 10_000) };
const quotaOf = (customer: number) => customer % 4;

describe("customers with quotas of their own", () => {
  const stores: Record<keyof typeof CUSTOMERS, () => Store> = {
    memory: () => memoryStore(),
    Redis: () => redisStore(server.ioredis()),
  };
  for (const [name, storeOf] of Object.entries(stores)) {
    it(`get exactly their quota, and each is looked up once: ${CUSTOMERS[name as keyof typeof CUSTOMERS]} on ${name}`, async () => {
      const asked = new Map<string, number>();
      const store = storeOf();
      const limiter = createLimiter({
        policy: {
          version: 1,
          limits: [
            { name: "monthly", per: ["tenant"], window: "month", quota: { from: "call", default: 2, max: 1_000 } },
          ],
        },
        store,
        failover: { deadlineMs: 60_000 },
        quotas: async ({ dimensions }) => {
          const tenant = dimensions.tenant ?? "";
          asked.set(tenant, (asked.get(tenant) ?? 0) + 1);
          return quotaOf(Number(tenant));
        },
      });
      const customers = CUSTOMERS[name as keyof typeof CUSTOMERS];
      const atOnce = 2_000;
      for (let first = 0; first < customers; first += atOnce) {
        const some = Array.from({ length: atOnce }, (_, n) => first + n);
        const counts = await Promise.all(
          some.map(async (customer) => {
            const tenant = String(customer);
            const tries = Array.from({ length: quotaOf(customer) + 1 }, () => limiter.consume({ tool: "x", tenant }));
            return (await Promise.all(tries)).filter(({ allowed }) => allowed).length;
          }),
        );
        assert.deepEqual(counts, some.map(quotaOf));
      }
      assert.equal(asked.size, customers);
      assert.ok([...asked.values()].every((times) => times === 1));
      await limiter.close();
    });
  }
});
