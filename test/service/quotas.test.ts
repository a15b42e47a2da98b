// Quotas that calls bring to a service, by a key that may.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { keysOf, served } from "./served.ts";

const POLICY = `
version: 1
limits:
  - { name: monthly, per: [tenant], window: month, quota: { from: call, default: 2, max: 100 } }
  - { name: rate, per: [tenant], unit: tokens, algorithm: token-bucket, window: 1h, quota: { from: call, default: 10, max: 1000 } }
`;
const { keys, texts } = keysOf({
  plain: { scopes: ["decide"] },
  claims: { scopes: ["decide", "quotas"] },
  bound: { scopes: ["decide"], tenants: ["acme"] },
  trusted: { scopes: ["decide", "quotas"], tenants: ["acme"] },
});
const call = (tenant: string) => ({ tool: "search", tenant });
const quotas = { monthly: 50 };

describe("quotas beside a call", () => {
  const verbs = ["consume", "record", "peek", "reserve", "begin"];

  for (const verb of verbs) {
    it(`need a key with the scope: ${verb}`, async () => {
      const { post } = await served({ policy: POLICY, keys });
      const body = { call: { ...call("acme"), cost: { tokens: 1 } }, quotas };
      for (const key of [texts.plain, texts.bound]) {
        const refused = await post(`/v1/${verb}`, body, { key });
        assert.deepEqual([refused.status, refused.json.code], [403, "missing-scope"]);
        assert.match(refused.text, /The key lacks the scope quotas\./);
        const batch = await post("/v1/batch", { items: [{ op: verb, ...body }] }, { key });
        assert.deepEqual([batch.status, batch.json.items[0].status], [200, 403]);
      }
      for (const key of [texts.claims, texts.trusted]) {
        const { status, json } = await post(`/v1/${verb}`, body, { key });
        assert.deepEqual([status, json.verdicts[0].quota], [200, 50]);
        const batch = await post("/v1/batch", { items: [{ op: verb, ...body, quotas: { monthly: 60 } }] }, { key });
        assert.equal(batch.json.items[0].body.verdicts[0].quota, 60);
      }
      const usual = await post(`/v1/${verb}`, { call: body.call }, { key: texts.plain });
      assert.equal(usual.json.verdicts[0].quota, 2);
    });
  }

  it("are at most the policy's max, and refused where they are invalid", async () => {
    const { post } = await served({ policy: POLICY, keys: false });
    const ask = (quotas: unknown) => post("/v1/peek", { call: { ...call("acme"), cost: { tokens: 1 } }, quotas });
    for (const quota of [101, "unlimited"]) assert.equal((await ask({ monthly: quota })).json.verdicts[0].quota, 100);
    for (const quota of [-1, 1.5, "5", null]) assert.equal((await ask({ monthly: quota })).status, 400);
    const { status, json } = await ask({ mothly: 5 });
    assert.deepEqual([status, json.code], [400, "invalid-option"]);
  });

  it("are looked up by the service where the call has none", async () => {
    const { post, ask } = await served({
      policy: POLICY,
      keys: false,
      quotas: async ({ limit }) => (limit === "monthly" ? 7 : undefined),
    });
    const body = { call: { ...call("acme"), cost: { tokens: 1 } } };
    assert.equal((await post("/v1/consume", body)).json.verdicts[0].quota, 7);
    assert.equal((await post("/v1/consume", { ...body, quotas })).json.verdicts[0].quota, 50);
    assert.equal((await ask("GET", "/v1/usage?tenant=acme")).json.items[0].quota, 7);
  });
});

describe("a client", () => {
  async function clientOf(key: string | undefined, failover?: Parameters<typeof createRemoteLimiter>[0]["failover"]) {
    const { url } = await served({ policy: POLICY, keys });
    return createRemoteLimiter({ url, apiKey: key, ...(failover === undefined ? {} : { failover }) });
  }
  const priced = { ...call("acme"), cost: { tokens: 400 } };
  const many = { quotas: { rate: 1_000 } };

  it("sends the quotas of its calls, and of the holds that they make", async () => {
    const limiter = await clientOf(texts.claims);
    assert.equal((await limiter.consume({ ...priced, cost: { tokens: 0 } }, { quotas })).verdicts[0]?.quota, 50);
    assert.equal((await limiter.consume(priced, { ...many, maxWaitMs: 10 })).verdicts[1]?.quota, 1_000);
    assert.equal((await limiter.peek(priced, { quotas })).verdicts[0]?.quota, 50);
    const held = await limiter.reserve(priced, { quotas: { ...quotas, ...many.quotas } });
    assert.ok(held.allowed);
    const { usages } = await held.hold.settle({ tokens: 100 });
    assert.deepEqual(
      usages.map(({ quota, used }) => [quota, used]),
      [
        [50, 3],
        [1_000, 500],
      ],
    );
    const ran = await limiter.run(priced, ({ addUsage }) => addUsage({ tokens: 50 }), {
      quotas: { ...quotas, ...many.quotas },
    });
    assert.ok(ran.allowed);
    const again = await limiter.peek({ ...priced, cost: { tokens: 1 } }, many);
    const remaining = again.verdicts[1]?.remaining ?? 0;
    assert.ok(remaining >= 449 && remaining < 460, String(remaining));
    await limiter.close();
  });

  it("gets an error when its key may not, and refuses quotas where the service takes none", async () => {
    const limiter = await clientOf(texts.plain);
    await assert.rejects(limiter.consume(priced, { quotas }), /scope quotas/);
    const refused = (promise: Promise<unknown>) =>
      assert.rejects(promise, (error) => MisuseError.isInstance(error) && error.faults[0]?.path === "quotas");
    // @ts-expect-error the service knows the quota
    await refused(limiter.usage({ tenant: "acme" }, { quotas }));
    // @ts-expect-error the same
    await refused(limiter.reset({ limit: "monthly", tenant: "acme" }, { quotas }));
    await limiter.close();
  });
});
