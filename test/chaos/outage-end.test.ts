// An instance that ends while the store is away: what it admitted is booked by the next one that reads its journal, and without a
// journal it says how much is lost. What was held before the outage is settled in it.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { FailoverOptions, PolicyInput } from "tollgate";
import { fileJournal } from "tollgate/journal";
import { ownServers } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { type Home, HOMES } from "./homes.ts";
import { areBack, openInstance, until } from "./outage.ts";

const policy: PolicyInput = {
  version: 1,
  limits: [
    { name: "per-session", per: ["session"], quota: 1_000, algorithm: "fixed-window", window: "365d" },
    { name: "per-user", per: ["user"], quota: 10_000, algorithm: "fixed-window", window: "365d" },
    { name: "tokens", per: ["session"], unit: "tokens", quota: 100_000, algorithm: "fixed-window", window: "365d" },
  ],
};
/** Calls of several shards of a cluster; each test has a user of its own. */
const callOf = (user: string) => ({ tool: "search", session: `${user}-0`, user });
const callsOf = (user: string) =>
  Array.from({ length: 40 }, (_, i) => ({ ...callOf(user), session: `${user}-${i % 8}` }));

async function open(test: TestContext, home: Home, turn: number, failover: FailoverOptions = {}) {
  const { store, proxy, disconnect } = await home.connect(turn);
  const instance = openInstance(proxy, store, policy, { instances: 1, ...failover });
  test.after(async () => {
    await instance.limiter.close({ withinMs: 0 });
    disconnect();
    await proxy.close();
  });
  const used = async (user: string) => {
    const usages = await instance.limiter.usage(callOf(user));
    return Object.fromEntries(usages.map((usage) => [usage.limit, usage.used]));
  };
  const consume = (user: string) => Promise.all(callsOf(user).map((call) => instance.limiter.consume(call)));
  return { ...instance, consume, used };
}

for (const [where, start] of Object.entries(HOMES)) {
  const home = await start();
  describe(`an instance that ends in an outage: ${where}`, ownServers, () => {
    it("leaves what it admitted in its journal, which the next one books once", async (test) => {
      const path = join(temporaryFolder(), "journal.db");
      const first = await open(test, home, 0, { journal: fileJournal(path) });
      await first.consume("journal");
      first.proxy.refuse();
      const decisions = await first.consume("journal");
      assert.ok(decisions.every(({ allowed, degraded }) => allowed && degraded !== null));
      await first.limiter.close({ withinMs: 0 });
      assert.ok(!first.events.some(({ type }) => type === "failover.lost"));
      const second = await open(test, home, 1, { journal: fileJournal(path) });
      await second.limiter.consume(callOf("journal"));
      await until(10_000, () => second.events.length > 0 && areBack([second]));
      assert.deepEqual(await second.used("journal"), { "per-session": 11, "per-user": 81, tokens: 0 });
      await second.limiter.close();
      const third = await open(test, home, 2, { journal: fileJournal(path) });
      await third.limiter.consume(callOf("journal"));
      assert.equal((await third.used("journal"))["per-user"], 82);
    });

    it("says once how many bookings are lost without a journal", async (test) => {
      const first = await open(test, home, 0);
      await first.consume("lost");
      first.proxy.refuse();
      await first.consume("lost");
      await first.limiter.close({ withinMs: 0 });
      const lost = first.events.filter(({ type }) => type === "failover.lost");
      assert.equal(lost.length, 1);
      const second = await open(test, home, 1);
      assert.equal((await second.used("lost"))["per-user"], 40);
    });

    it("books what it admitted while it closes, if the store comes back", async (test) => {
      const first = await open(test, home, 0);
      await first.consume("closing");
      first.proxy.refuse();
      await first.consume("closing");
      const closed = first.limiter.close({ withinMs: 5_000 });
      await first.proxy.heal();
      await closed;
      assert.ok(!first.events.some(({ type }) => type === "failover.lost"));
      assert.equal((await (await open(test, home, 1)).used("closing"))["per-user"], 80);
    });

    it("settles and releases what it held before", async (test) => {
      const { limiter, proxy, used, events, eventsAtMs } = await open(test, home, 0);
      const reserve = async () => {
        const held = await limiter.reserve({ ...callOf("held"), cost: { tokens: 500 } });
        assert.ok(held.allowed);
        return held.hold;
      };
      const holds = [await reserve(), await reserve(), await reserve()] as const;
      assert.deepEqual(await used("held"), { "per-session": 3, "per-user": 3, tokens: 1_500 });
      proxy.refuse();
      assert.notEqual((await limiter.consume(callOf("held"))).degraded, null);
      const inOutage = await reserve();
      await holds[0].settle({ tokens: 700 });
      await holds[1].release();
      await inOutage.settle({ tokens: 40 });
      await proxy.heal();
      await until(10_000, () => areBack([{ limiter, proxy, events, eventsAtMs }]));
      await holds[2].settle({ tokens: 10 });
      assert.deepEqual(await used("held"), { "per-session": 4, "per-user": 4, tokens: 750 });
    });
  });
}
