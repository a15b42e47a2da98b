// Taking calls over while the store is unreachable: each instance knows its own marks only, until the store is back.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimiterEvent, PolicyInput } from "tollgate";
import { networkLayers } from "../../src/layers/network.ts";
import { createHostedLimiter } from "../../src/limiter.ts";
import { RemoteStore } from "../layers/remote.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "calls", per: ["session"], quota: 10 },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 2 },
  ],
};
const call = { tool: "search", session: "s1" };

function instanceOf(remote: RemoteStore) {
  const recovered = Promise.withResolvers<void>();
  const limiter = createHostedLimiter({
    policy: POLICY,
    store: {
      layers: networkLayers,
      batching: remote.batching,
      apply: remote.apply.bind(remote),
      book: remote.book.bind(remote),
      beat: remote.beat.bind(remote),
      async close() {},
    },
    failover: { deadlineMs: 10_000, instances: 2 },
    onEvent: (event: LimiterEvent) => {
      if (event.type === "store.recovered") recovered.resolve();
    },
  });
  return { limiter, recovered: recovered.promise };
}

describe("a call that is taken over while the store is unreachable", () => {
  it("is taken over at most once by each instance, and charged once", async () => {
    const remote = new RemoteStore({ nowMs: () => Date.now() });
    const [one, other] = [instanceOf(remote), instanceOf(remote)];
    const { running } = await one.limiter.begin(call, {});
    const id = running?.hold.id ?? "";
    await other.limiter.usage({ session: "s1" });
    const present = (mark: string) =>
      Promise.all([one, one, other, other].map(({ limiter }) => limiter.resume(id, call, { mark })));
    const statuses = async (mark: string) => (await present(mark)).map(({ status }) => status);
    assert.equal((await other.limiter.resume(id, call, { mark: "before" })).status, "resumed");

    remote.fault = "lose-request";
    assert.deepEqual(await statuses("away"), ["resumed", "taken", "resumed", "taken"]);
    // An instance that is cut off does not know what the store has kept.
    assert.deepEqual(await statuses("before"), ["resumed", "taken", "resumed", "taken"]);
    remote.fault = "answer";
    await Promise.all([one.recovered, other.recovered]);

    assert.deepEqual(await statuses("away"), ["taken", "taken", "taken", "taken"]);
    assert.deepEqual((await statuses("after")).toSorted(), ["resumed", "taken", "taken", "taken"]);
    const usages = await one.limiter.usage({ session: "s1" });
    assert.deepEqual(
      usages.map(({ used }) => used),
      [1, 1],
    );
    await Promise.all([one.limiter.close(), other.limiter.close()]);
  });
});
