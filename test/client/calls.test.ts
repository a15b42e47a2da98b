// Calls of a remote limiter that are begun, interrupted and taken over in one process, decided by a service.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Call, PolicyInput } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { callsOf } from "../../src/client/calls.ts";
import { served } from "../service/served.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "calls", per: ["session"], quota: 2_000 },
    {
      name: "at-once",
      per: ["session"],
      when: { tool: ["search"] },
      algorithm: "concurrency",
      quota: 2,
      hold: { lease: "1m" },
    },
  ],
};
const CALL: Call = { tool: "search", session: "s1" };

const clock = fakeClock();
const { url } = await served({ policy: POLICY, store: memoryStore({ clock }) });

function remote(session: string) {
  const limiter = createRemoteLimiter({ url, deadlineMs: 10_000 });
  const call = { ...CALL, session };
  const used = async () => (await limiter.usage({ session, tool: "search" })).map((usage) => usage.used);
  return { limiter, calls: callsOf(limiter), call, used };
}

describe("a call of a remote limiter", () => {
  it("is begun, taken over once under each mark, and settled", async () => {
    const { calls, call, used } = remote("once");
    const { running } = await calls.begin(call, {});
    const id = running?.hold.id ?? "";
    for (const mark of ["1", "2"]) {
      clock.advance(40_000);
      const resumed = await Promise.all([1, 2, 3].map(() => calls.resume(id, call, { mark })));
      assert.deepEqual(
        resumed.map(({ status }) => status),
        ["resumed", "taken", "taken"],
      );
      assert.deepEqual(await used(), [1, 1]);
    }
    await running?.settle({}, "held");
    assert.deepEqual(await used(), [1, 0]);
    assert.equal((await calls.resume(id, call, { mark: "3" })).status, "ended");
    await calls.close();
  });

  it("has ended when its lease is over, and is not known in another process", async () => {
    const { calls, call, used } = remote("ended");
    const { running } = await calls.begin(call, { leaseMs: 1_000 });
    const id = running?.hold.id ?? "";
    assert.equal((await remote("ended").calls.resume(id, call, { mark: "1" })).status, "ended");
    clock.advance(1_001);
    assert.equal((await calls.resume(id, call, { mark: "1" })).status, "ended");
    assert.equal((await calls.resume(id, call, { mark: "1" })).status, "ended");
    assert.deepEqual(await used(), [1, 0]);
    await calls.close();
  });

  it("gives its place in a queue back when its client is gone", async () => {
    const { calls, call, used } = remote("gone");
    await Promise.all([calls.begin(call, {}), calls.begin(call, {})]);
    const gone = new AbortController();
    const waiting = calls.begin(call, { maxWaitMs: 60_000, abandoned: gone.signal });
    gone.abort();
    await assert.rejects(waiting);
    const denied = await calls.begin(call, {});
    assert.deepEqual([denied.decision.allowed, denied.running, await used()], [false, null, [2, 2]]);
    await calls.close();
  });

  it("is forgotten after a thousand others", async () => {
    const { calls, call } = remote("many");
    const plain = { ...call, tool: "read" };
    const begun: Awaited<ReturnType<typeof calls.begin>>[] = [];
    // Few at a time: each has a second.
    while (begun.length < 1_001) {
      begun.push(...(await Promise.all(Array.from({ length: 91 }, () => calls.begin(plain, {})))));
    }
    const statusOf = async (i: number) => {
      const id = begun[i]?.running?.hold.id ?? "";
      return (await calls.resume(id, plain, { mark: "1" })).status;
    };
    assert.deepEqual([await statusOf(0), await statusOf(1), await statusOf(1_000)], ["ended", "resumed", "resumed"]);
    await calls.close();
  });
});
