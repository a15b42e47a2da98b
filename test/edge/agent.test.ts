// Limits in an object that makes the calls itself, as an agent does, inside real workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { storeCases } from "tollgate/testing";
import { startWorker } from "./workerd.ts";

const worker = await startWorker();
const agent = <Answer>(name: string, method: string, ...args: unknown[]) =>
  worker.ask<Answer>("agent", { name, method, args });

type Hooked = { readonly action: "block"; readonly reason: string } | null;

describe("the store of an object's own", () => {
  let failures: Promise<Record<string, string>> | undefined;
  for (const { name } of storeCases) {
    it(`keeps the contract: ${name}`, async () => {
      failures ??= agent("cases", "cases");
      const failure = (await failures)[name];
      if (failure !== undefined) assert.fail(failure);
    });
  }

  it("makes its tables with the first call", async () => {
    assert.deepEqual(await agent("tables", "tables"), []);
    await agent("tables", "think", ["c1"]);
    assert.equal((await agent<unknown[]>("tables", "tables")).length, 2);
  });
});

describe("a Think agent with limits", () => {
  const mayRun = (hooked: readonly Hooked[]) => hooked.map((each) => each === null);

  it("runs no tool that is denied, and says why", async () => {
    const hooked = await agent<readonly Hooked[]>("a1", "think", ["c1", "c2", "c3", "c4"]);
    assert.deepEqual(mayRun(hooked), [true, true, true, false]);
    assert.equal(hooked[3]?.action, "block");
    assert.match(hooked[3]?.reason ?? "", /per-turn.*all 3 are used/);
  });

  it("charges a call once that runs again after an eviction", async () => {
    await agent("a2", "think", ["c1", "c2"]);
    await assert.rejects(agent("a2", "evict"), /evicted/);
    const hooked = await agent<readonly Hooked[]>("a2", "think", ["c2", "c2", "c3", "c4"]);
    assert.deepEqual(mayRun(hooked), [true, true, true, false]);
  });

  it("charges calls of different turns that have the same id", async () => {
    for (const operationId of ["t1", "t2"]) {
      const hooked = await agent<readonly Hooked[]>("a3", "think", ["c1", "c2", "c3", "c4"], {
        session: "s1",
        operationId,
      });
      assert.deepEqual(mayRun(hooked), [true, true, true, false]);
    }
  });

  it("limits the root session, whose id is empty", async () => {
    const hooked = await agent<readonly Hooked[]>("a4", "think", ["c1", "c2", "c3", "c4"], {
      session: "",
      operationId: "t1",
    });
    assert.deepEqual(mayRun(hooked), [true, true, true, false]);
  });

  it("takes the request as the turn where there is no operation, as the class Think does", async () => {
    const hooked = await agent<readonly Hooked[]>("a5", "think", ["c1", "c2", "c3", "c4"], { requestId: "r1" });
    assert.deepEqual(mayRun(hooked), [true, true, true, false]);
  });
});
