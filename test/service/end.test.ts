// A call that was begun is settled, and what came of it is reported, in one request.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type Limiter } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { served } from "./served.ts";

const POLICY = `
version: 1
limits:
  - { name: calls, per: [session], quota: 100 }
  - { name: tokens, per: [session], unit: tokens, quota: 1000 }
  - { name: refunded, per: [session], unit: euros, quota: 1000, onError: refund }
  - { name: failing, per: [session, tool], algorithm: streak, of: errors, quota: 3, resetAfterIdle: 1h }
  - { name: same, per: [session, tool], algorithm: streak, of: results, quota: 3, resetAfterIdle: 1h }
`;
const server = await served({ policy: POLICY });
const { post, ask } = server;
let sessions = 0;
const fresh = () => ({ tool: "search", session: `end-${++sessions}`, cost: { tokens: 40, euros: 5 } });

async function usedOf(session: string): Promise<Record<string, number>> {
  const { json } = await ask("GET", `/v1/usage?session=${session}&tool=search`);
  return Object.fromEntries(json.items.map((each: { limit: string; used: number }) => [each.limit, each.used]));
}

async function begun(call: object): Promise<string> {
  const { json } = await post("/v1/begin", { call });
  assert.equal(json.wantsOutcome, true);
  assert.deepEqual(json.heldUnits, ["tokens", "euros"]);
  return json.holdId;
}

describe("the end of a call", () => {
  it("settles what it used, and reports its result", async () => {
    const call = fresh();
    const { status, json } = await post("/v1/end", {
      holdId: await begun(call),
      call,
      usage: { tokens: 7 },
      result: { found: 1 },
    });
    assert.equal(status, 200, JSON.stringify(json));
    assert.deepEqual(await usedOf(call.session), { calls: 1, tokens: 7, refunded: 5, failing: 0, same: 1 });
  });

  it("of a failed call is charged by onError, and counts for streaks of errors", async () => {
    const call = fresh();
    await post("/v1/end", { holdId: await begun(call), call, error: true });
    assert.deepEqual(await usedOf(call.session), { calls: 1, tokens: 40, refunded: 0, failing: 1, same: 0 });
  });

  it("without an outcome reports nothing", async () => {
    const call = fresh();
    await post("/v1/end", { holdId: await begun(call), call });
    assert.deepEqual(await usedOf(call.session), { calls: 1, tokens: 40, refunded: 5, failing: 0, same: 0 });
  });

  it("of a call that was cancelled before it ran charges nothing of what was held, when its usage is 0", async () => {
    const call = fresh();
    await post("/v1/end", { holdId: await begun(call), call, usage: { tokens: 0, euros: 0 } });
    assert.deepEqual(await usedOf(call.session), { calls: 1, tokens: 0, refunded: 0, failing: 0, same: 0 });
  });

  it("that is sent again counts once, its outcome included", async () => {
    const call = fresh();
    const body = { holdId: await begun(call), call, usage: { tokens: 7 }, error: true };
    assert.equal((await post("/v1/end", body)).json.replayed, false);
    const batch = await post("/v1/batch", { items: [{ op: "end", ...body }] });
    assert.equal(batch.json.items[0].body.replayed, true);
    assert.equal((await post("/v1/end", body)).json.replayed, true);
    const used = await usedOf(call.session);
    assert.deepEqual([used.tokens, used.failing], [7, 1]);
  });

  it("with another outcome than before is refused", async () => {
    const call = fresh();
    const body = { holdId: await begun(call), call, usage: { tokens: 7, euros: 1 } };
    await post("/v1/end", { ...body, result: 1 });
    for (const other of [{ result: 2 }, { error: true }, {}]) {
      const { status, json } = await post("/v1/end", { ...body, ...other });
      assert.deepEqual([status, json.code], [409, "already-settled"], JSON.stringify(other));
    }
    assert.equal((await usedOf(call.session)).failing, 0);
  });

  it("is one request of the client, which counts once although the answer is lost", async () => {
    const asked: string[] = [];
    let losing = true;
    const limiter = createRemoteLimiter({
      url: server.url,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const ops = [...String(init?.body).matchAll(/"op":"(\w+)"/g)].map(([, op = ""]) => op);
        asked.push(...ops);
        if (ops.includes("end") && losing) {
          losing = false;
          await response.arrayBuffer();
          throw new TypeError("fetch failed");
        }
        return response;
      },
    });
    const call = fresh();
    await assert.rejects(
      limiter.run(call, () => Promise.reject(new Error("boom"))),
      /boom/,
    );
    assert.deepEqual(asked, ["begin", "end", "end"]);
    const used = await usedOf(call.session);
    assert.deepEqual([used.tokens, used.failing], [40, 1]);
    await limiter.close();
  });

  it("of a call that runs again under its key reports its outcome again, locally and over HTTP", async () => {
    const here = createLimiter({ policy: parsePolicy(POLICY), store: memoryStore() });
    const there = createRemoteLimiter({ url: server.url });
    for (const limiter of [here, there] as Limiter[]) {
      const call = { tool: "search", session: crypto.randomUUID(), idempotencyKey: "job-17" };
      const failing = async () => {
        const usages = await limiter.usage({ session: call.session, tool: "search" });
        return usages.find(({ limit }) => limit === "failing")?.used;
      };
      await assert.rejects(
        limiter.run(call, () => Promise.reject(new Error("boom"))),
        /boom/,
      );
      assert.equal(await failing(), 1);
      const again = await limiter.run(call, () => "fine");
      assert.deepEqual([again.allowed, again.replayed, await failing()], [true, true, 0]);
      await limiter.close();
    }
  });
});
