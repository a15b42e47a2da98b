// The Durable Object store keeps the store contract, inside real workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { storeCases } from "tollgate/testing";
import { startWorker } from "./workerd.ts";

const worker = await startWorker();

describe("Durable Objects keep the store contract", () => {
  for (const { name } of storeCases) {
    it(name, async () => assert.equal(await worker.ask("case", name), name));
  }
});
