// The deadline of your own port: a call that has waited for as long does not reach the port.

import assert from "node:assert/strict";
import { it } from "node:test";
import type { StoreRequest } from "tollgate/store";
import { type DocumentPort, documentStore } from "tollgate/stores/document";

const limit = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "last" } as const;
const request = (session: string): StoreRequest => ({
  mode: "judge",
  steps: [{ bucket: `rate:1:{${session}}:a`, limit, event: { type: "charge", cost: 1 } }],
});

it("is one for any number of partitions of a batch", async () => {
  const asked: string[] = [];
  const port: DocumentPort = {
    deadlineMs: 60,
    async transact(partition, change) {
      asked.push(partition);
      await new Promise((resolve) => setTimeout(resolve, 40));
      return change(null, 1_000).result;
    },
  };
  const store = documentStore(port);
  assert.equal(store.deadlineMs, 60);
  // 32 partitions, eight at one time.
  const replies = await store.apply(Array.from({ length: 32 }, (_, i) => request(`s${i}`)));
  const codes = replies.map((reply) => ("code" in reply ? reply.code : "answered"));
  assert.ok(codes.includes("unavailable"), "the last ones were asked for beyond the deadline");
  assert.ok(asked.length <= 24, `${asked.length} were asked for`);
  const [late] = await store.apply([request("late")], 0);
  assert.deepEqual([late !== undefined && "code" in late && late.code, asked.includes("late")], ["unavailable", false]);
});
