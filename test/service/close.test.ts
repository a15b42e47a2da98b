// A service that ends while its store is away records what it has admitted, if the store comes back in time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimiterEvent } from "tollgate";
import { createService } from "tollgate/service";
import { memoryStore } from "tollgate/stores/memory";
import { networkLayers } from "../../src/layers/network.ts";
import { RemoteStore } from "../layers/remote.ts";

const POLICY = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 10 }]";

/** A service that has admitted one call while its store was away. */
async function away(closeMs: number) {
  const remote = new RemoteStore({ nowMs: () => Date.now() });
  const events: LimiterEvent[] = [];
  const service = createService({
    policy: POLICY,
    store: {
      layers: networkLayers,
      batching: remote.batching,
      apply: remote.apply.bind(remote),
      book: remote.book.bind(remote),
      beat: remote.beat.bind(remote),
      close: async () => {},
    },
    keys: false,
    failover: { deadlineMs: 20, instances: 1 },
    onEvent: (event) => events.push(event),
    bounds: { stopMs: 0, closeMs },
  });
  const consume = () => {
    const body = JSON.stringify({ call: { tool: "search", session: "s1" } });
    const headers = { "content-type": "application/json" };
    return service.fetch(new Request("http://localhost/v1/consume", { method: "POST", headers, body }));
  };
  assert.match(await (await consume()).text(), /"allowed":true.*"degraded":null/);
  remote.fault = "lose-request";
  assert.match(await (await consume()).text(), /"allowed":true.*"degraded":\{"reason":"unavailable"/);
  return { remote, service, consume, types: () => events.map(({ type }) => type) };
}

describe("a service that ends while its store is unreachable", () => {
  it("records what it admitted when the store is back within closeMs, and takes no new calls meanwhile", async () => {
    const { remote, service, consume, types } = await away(5_000);
    const closing = service.close();
    assert.equal((await consume()).status, 503);
    remote.fault = "answer";
    await closing;
    assert.deepEqual(types(), ["store.unreachable", "store.recovered"]);
  });

  it("reports what is lost after closeMs", async () => {
    const { service, types } = await away(0);
    await service.close();
    assert.deepEqual(types(), ["store.unreachable", "failover.lost"]);
  });
});

describe("a service with calls that wait", () => {
  it("answers them with 503 when its limiter is closed", async () => {
    const policy =
      "version: 1\nlimits: [{ name: rate, per: [session], algorithm: token-bucket, quota: 1, window: 20s, burst: 1 }]";
    const service = createService({ policy, store: memoryStore(), keys: false });
    const consume = (maxWaitMs: number) => {
      const body = JSON.stringify({ call: { tool: "search", session: "s1" }, maxWaitMs });
      const headers = { "content-type": "application/json" };
      return service.fetch(new Request("http://localhost/v1/consume", { method: "POST", headers, body }));
    };
    assert.equal((await consume(0)).status, 200);
    const waiting = consume(30_000);
    while (true) {
      const [usage] = await service.limiter.usage({ session: "s1" });
      if (usage?.used === 2) break;
    }
    await service.limiter.close();
    const answer = await waiting;
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /"code":"stopping"/);
    await service.close();
  });
});
