// One batch of the document store: a session whose id is too long fails only its own calls.

import assert from "node:assert/strict";
import { it } from "node:test";
import { bucketKey } from "../../src/kernel/key.ts";
import { StoreError, type StoreRequest } from "../../src/store/api.ts";
import { documentStore } from "../../src/stores/document.ts";

it("a session id of more than 64 bytes fails its own call, and no other call of the batch", async () => {
  const values = new Map<string, unknown>();
  const store = documentStore({
    async transact(partition, change) {
      const { json, result } = change(values.get(partition) ?? null, 1_000);
      values.set(partition, json);
      return result;
    },
  });
  const requestOf = (session: string): StoreRequest => ({
    mode: "judge",
    steps: [
      {
        bucket: bucketKey("rate", "session", "calls", [["session", session]]),
        limit: { algorithm: "budget", quota: 9, ttlMs: 60_000, ttlFrom: "last" },
        event: { type: "charge", cost: 1 },
      },
    ],
  });
  const [first, second, third] = await store.apply(["s1", "x".repeat(65), "s2"].map(requestOf));
  assert.ok(first !== undefined && !StoreError.isInstance(first) && first.allowed);
  assert.ok(StoreError.isInstance(second) && second.code === "unknown-partition");
  assert.ok(third !== undefined && !StoreError.isInstance(third) && third.allowed);
});
