// The service goes away under load, in every way that it can: no call hangs, and when it is back it has counted each unit
// that was admitted, and no other. What is held meanwhile is held there, too.

import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Call, definePolicy, type LimiterEvent, MisuseError, type PolicyInput, StoreError } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { type LocalFailoverOptions, localFailover } from "tollgate/client/failover";
import { memoryStore } from "tollgate/stores/memory";
import { startFaultProxy } from "../chaos/fault-proxy.ts";
import { areBack, type Instance, Load, until } from "../chaos/outage.ts";
import { wideRunOnly } from "../length.ts";
import { type Served, served } from "../service/served.ts";

const POLICY: PolicyInput = {
  version: 1,
  tools: { breaks: { onError: "refund" } },
  limits: [
    { name: "per-session", per: ["session"], quota: 1_000_000, algorithm: "fixed-window", window: "365d" },
    { name: "small", per: ["user"], onMissing: "skip", quota: 10, onError: "charge" },
    { name: "tokens", per: ["user"], onMissing: "skip", unit: "tokens", quota: 1_000 },
    { name: "at-once", per: ["user"], onMissing: "skip", when: { tool: ["job"] }, algorithm: "concurrency", quota: 3 },
    {
      name: "failing",
      per: ["session", "tool"],
      when: { tool: ["flaky", "model"] },
      algorithm: "streak",
      of: "errors",
      quota: 2,
      resetAfterIdle: "1h",
    },
    { name: "per-tool", per: ["tool"], quota: 10_000_000 },
  ],
};
/** So long that no answer is late on a busy machine. */
const DEADLINE_MS = 5_000;
/** Where a service that does not answer has to be noticed soon. */
const SHORT_DEADLINE_MS = 1_000;

const opened: Instance[] = [];
afterEach(async () => {
  for (const { limiter, proxy } of opened.splice(0)) {
    await limiter.close({ withinMs: 0 });
    await proxy.close();
  }
});

/** Clients of one service, each behind a proxy of its own. */
async function clients(
  count: number,
  failover: Partial<LocalFailoverOptions<PolicyInput>> = {},
  deadlineMs = DEADLINE_MS,
  policy = POLICY,
) {
  const server = await served({ policy, store: memoryStore() });
  const instances: Instance[] = [];
  for (let i = 0; i < count; i++) {
    const proxy = await startFaultProxy(Number(new URL(server.url).port));
    const events: LimiterEvent[] = [];
    const eventsAtMs: number[] = [];
    const limiter = createRemoteLimiter({
      url: `http://127.0.0.1:${proxy.port}`,
      deadlineMs,
      failover: localFailover({ policy: POLICY, instances: count, ...failover }),
      onEvent(event) {
        events.push(event);
        eventsAtMs.push(performance.now());
      },
    });
    const instance = { limiter, proxy, events, eventsAtMs };
    instances.push(instance);
    opened.push(instance);
    await reach(instance);
  }
  return { server, instances };
}

/** Waits until a client has had an answer of the service: before that it admits nothing while the service is away. */
async function reach(instance: Instance): Promise<void> {
  const { limiter, events, eventsAtMs } = instance;
  const isAway = async () => (await limiter.consume({ tool: "warm-up", session: "warm-up" })).degraded !== null;
  for (let tries = 0; (await isAway()) || !areBack([instance]); tries++) {
    assert.ok(tries < 600, "the service does not answer");
    await sleep(50);
  }
  // A slow start may have been an outage, which is none of the test's.
  for (let i = events.length - 1; i >= 0; i--) {
    if (!events[i]?.type.startsWith("store.")) continue;
    events.splice(i, 1);
    eventsAtMs.splice(i, 1);
  }
}

async function usedOf(server: Served, query: string, limit: string): Promise<number> {
  const { json } = await server.ask("GET", `/v1/usage?${query}`);
  return json.items.find((each: { readonly limit: string }) => each.limit === limit).used;
}

async function cut({ proxy, limiter, events }: Instance): Promise<void> {
  proxy.refuse();
  await limiter.consume({ tool: "warm-up", session: "warm-up" });
  assert.equal(events.at(-1)?.type, "store.unreachable");
}

async function heal(instances: readonly Instance[]): Promise<void> {
  for (const { proxy } of instances) await proxy.heal();
  await until(60_000, () => areBack(instances));
  assert.ok(areBack(instances), "a client did not come back within a minute");
}

describe("a service that goes away under load", () => {
  const faults: Record<string, (proxy: Instance["proxy"]) => void> = {
    "refused connections": (proxy) => proxy.refuse(),
    "a black hole": (proxy) => proxy.blackHole("both"),
    "a black hole of replies": (proxy) => proxy.blackHole("replies"),
    "2 s of latency": (proxy) => proxy.delay(2_000),
    "resets in the middle of replies": (proxy) => proxy.resetInReply(5),
    "a flapping network": (proxy) => proxy.flap(150),
  };
  /** One of each kind: refused, silent, broken. */
  const inEachRun = ["refused connections", "a black hole of replies", "resets in the middle of replies"];
  for (const [name, begin] of Object.entries(faults)) {
    const options = inEachRun.includes(name) ? {} : wideRunOnly;
    it(`by ${name}: no call fails, and every unit is counted once`, options, async (test) => {
      const { server, instances } = await clients(2, {}, name === "a flapping network" ? 250 : SHORT_DEADLINE_MS);
      const load = new Load(instances, 8, ["a", "b", "c"], 10);
      await sleep(150);
      for (const { proxy } of instances) begin(proxy);
      await sleep(3 * SHORT_DEADLINE_MS);
      for (const { proxy } of instances) await proxy.heal();
      // On a machine that is too busy for this load they come back when it ends.
      await until(10_000, () => areBack(instances));
      await sleep(100);
      await load.stop();
      await heal(instances);
      assert.deepEqual(load.errors, []);
      const degraded = load.seen.filter(({ decision }) => decision.degraded !== null).length;
      const slowest = Math.max(...load.seen.map(({ startMs, endMs }) => endMs - startMs));
      const outages = instances
        .flatMap(({ events }) => events)
        .filter(({ type }) => type === "store.unreachable").length;
      test.diagnostic(
        `${load.seen.length} calls, ${degraded} decided by the clients in ${outages} outages, slowest ${slowest.toFixed(0)} ms`,
      );
      assert.ok(load.seen.every(({ decision }) => decision.allowed));
      assert.ok(outages > 0 || name.startsWith("resets"), "no outage was noticed");
      for (const session of ["a", "b", "c"]) {
        assert.equal(await usedOf(server, `session=${session}`, "per-session"), load.admitted(session), session);
      }
      assert.equal(await usedOf(server, "tool=search", "per-tool"), load.seen.length);
    });
  }
});

describe("clients whose service is unreachable", () => {
  it("together admit what was left, with the maximum overshoot", async () => {
    const { server, instances } = await clients(3);
    const call = { tool: "search", session: "s1", user: "u1" };
    // Equal views: each has seen that 4 are used.
    for (let i = 0; i < 4; i++) await server.post("/v1/record", { call });
    for (const { limiter } of instances) await limiter.consume({ ...call, cost: { calls: 0, tokens: 1 } });
    for (const { limiter } of instances) await limiter.consume({ ...call, cost: { calls: 1 } });
    for (const instance of instances) await cut(instance);
    const decisions = await Promise.all(
      instances.flatMap(({ limiter }) => Array.from({ length: 6 }, () => limiter.consume(call))),
    );
    const admitted = decisions.filter(({ allowed }) => allowed).length;
    const stated = decisions[0]?.degraded?.maxOvershoot ?? 0;
    // The first saw 5 used, the last 7.
    assert.ok(admitted >= 1 && admitted <= 5, `${admitted}`);
    assert.ok(decisions.every(({ degraded }) => degraded?.reason === "unavailable"));
    assert.match(decisions.find(({ allowed }) => !allowed)?.message ?? "", /away|small/);
    await heal(instances);
    const used = await usedOf(server, "user=u1", "small");
    assert.equal(used, 7 + admitted);
    assert.ok(used - 10 <= stated, `${used}, stated ${stated}`);
  });

  it("use the verdicts of a call that might have waited", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances;
    assert.ok(instance !== undefined);
    const call = { tool: "search", session: "s1", user: "u1" };
    await instance.limiter.consume(call, { maxWaitMs: 100 });
    for (let i = 0; i < 8; i++) await server.post("/v1/record", { call });
    const { verdicts } = await instance.limiter.consume(call, { maxWaitMs: 100 });
    assert.equal(verdicts.find(({ limit }) => limit === "small")?.remaining, 0);
    await cut(instance);
    assert.equal((await instance.limiter.consume(call)).allowed, false);
  });

  it("book a call that the service would no longer allow", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const call = { tool: "search", session: "s1", user: "u1" };
    await instance.limiter.consume(call);
    await cut(instance);
    for (let i = 0; i < 4; i++) assert.ok((await instance.limiter.consume(call)).allowed);
    // Meanwhile others use the rest up.
    for (let i = 0; i < 9; i++) assert.ok((await server.post("/v1/consume", { call })).json.allowed);
    await heal(instances);
    assert.equal(await usedOf(server, "user=u1", "small"), 14);
    const back = instance.events.at(-1);
    assert.ok(back?.type === "store.recovered");
    assert.deepEqual([back.booked, back.dropped], [1 + 4, 0]);
  });

  it("let the rest of their process go on while they decide", async () => {
    const { instances } = await clients(1);
    const [instance] = instances as [Instance];
    await cut(instance);
    let isOver = false;
    setImmediate(() => {
      isOver = true;
    });
    let decided = 0;
    while (!isOver && decided < 5_000) {
      await instance.limiter.consume({ tool: "search", session: "s1" });
      decided++;
    }
    assert.ok(isOver, `${decided} calls were decided before anything else of the process had its turn`);
    await heal(instances);
  });

  it("have a share of what is left in each outage", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const call = { tool: "search", session: "s1", user: "u1" };
    await instance.limiter.consume(call);
    for (const admitted of [4, 5]) {
      await cut(instance);
      for (let i = 0; i < admitted; i++) assert.ok((await instance.limiter.consume(call)).allowed);
      await heal([instance]);
    }
    assert.equal(await usedOf(server, "user=u1", "small"), 10);
    await server.post("/v1/reset", { limit: "small", dimensions: { user: "u1" } });
    await instance.limiter.consume(call);
    await cut(instance);
    const decisions = await Promise.all(Array.from({ length: 12 }, () => instance.limiter.consume(call)));
    assert.equal(decisions.filter(({ allowed }) => allowed).length, 9);
    await heal([instance]);
  });

  it("keep the units of calls that are under way when an outage begins", async () => {
    const server = await served({ policy: POLICY, store: memoryStore() });
    let isAway = false;
    let isSlow = false;
    const going = Promise.withResolvers<void>();
    const bad: typeof fetch = async (url, init) => {
      if (isAway) throw new TypeError("fetch failed");
      const isHeld = isSlow;
      const response = await fetch(url, init);
      if (isHeld) await going.promise;
      return response;
    };
    const limiter = createRemoteLimiter({
      url: server.url,
      deadlineMs: DEADLINE_MS,
      fetch: bad,
      failover: localFailover({ policy: POLICY, instances: 1 }),
    });
    const call: Call = { tool: "t", session: "s", user: "u" };
    await limiter.consume(call);
    isSlow = true;
    const held = Array.from({ length: 3 }, () => limiter.consume(call));
    while ((await usedOf(server, "user=u", "small")) < 4) await sleep(10);
    isAway = true;
    const allowedOf = async (count: number) => {
      let allowed = 0;
      for (let i = 0; i < count; i++) if ((await limiter.consume(call)).allowed) allowed++;
      return allowed;
    };
    // The quota is 10. One call was admitted before, and three are under way.
    assert.equal(await allowedOf(10), 6);
    going.resolve();
    assert.deepEqual(
      (await Promise.all(held)).map(({ allowed }) => allowed),
      [true, true, true],
    );
    assert.equal(await allowedOf(1), 0);
    isAway = false;
    await limiter.close({ withinMs: DEADLINE_MS });
    assert.equal(await usedOf(server, "user=u", "small"), 10);
  });

  it("count a call that was sent twice when it is answered in an outage", async () => {
    const server = await served({ policy: POLICY, store: memoryStore() });
    let isAway = false;
    let isLossy = false;
    let tries = 0;
    const going = Promise.withResolvers<void>();
    const bad: typeof fetch = async (url, init) => {
      if (isAway) throw new TypeError("fetch failed");
      const response = await fetch(url, init);
      if (!isLossy) return response;
      if (++tries === 1) throw new TypeError("fetch failed");
      await going.promise;
      return response;
    };
    const limiter = createRemoteLimiter({
      url: server.url,
      deadlineMs: DEADLINE_MS,
      fetch: bad,
      failover: localFailover({ policy: POLICY, instances: 1 }),
    });
    const call: Call = { tool: "t", session: "s", user: "u" };
    await limiter.consume(call);
    isLossy = true;
    const held = limiter.consume(call);
    while (tries < 2) await sleep(10);
    isAway = true;
    // The quota is 10. One call was admitted before, and one is under way.
    for (let i = 0; i < 8; i++) assert.equal((await limiter.consume(call)).allowed, true);
    going.resolve();
    const { allowed, replayed } = await held;
    assert.deepEqual({ allowed, replayed }, { allowed: true, replayed: true });
    assert.equal((await limiter.consume(call)).allowed, false);
    isAway = false;
    await limiter.close({ withinMs: DEADLINE_MS });
    assert.equal(await usedOf(server, "user=u", "small"), 10);
  });

  it("know in the next outage what they have booked after the last one", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const { limiter } = instance;
    const verbs = {
      consumed: async (call: Call) => (await limiter.consume(call)).allowed,
      reserved: async (call: Call) => {
        const held = await limiter.reserve({ ...call, cost: { tokens: 1 } });
        if (held.allowed) await held.hold.settle();
        return held.allowed;
      },
    };
    for (const [user, isAllowed] of Object.entries(verbs)) {
      const counts: number[] = [];
      for (let outage = 0; outage < 2; outage++) {
        await cut(instance);
        let allowed = 0;
        for (let i = 0; i < 6; i++) if (await isAllowed({ tool: "search", session: "s1", user })) allowed++;
        counts.push(allowed);
        await heal([instance]);
      }
      assert.deepEqual([user, ...counts, await usedOf(server, `user=${user}`, "small")], [user, 6, 4, 10]);
    }
  });

  it("retry a call under its key, when it was booked beyond the quota", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const call = { tool: "search", session: "s1", user: "u1", idempotencyKey: "k1" };
    await instance.limiter.consume({ ...call, idempotencyKey: "k0" });
    await cut(instance);
    assert.ok((await instance.limiter.consume(call)).allowed);
    await server.post("/v1/record", { call: { ...call, idempotencyKey: "k2", cost: { calls: 9 } } });
    await heal(instances);
    const { allowed, replayed } = await instance.limiter.consume(call);
    assert.deepEqual({ allowed, replayed }, { allowed: true, replayed: true });
    assert.equal((await instance.limiter.consume({ ...call, idempotencyKey: "k3" })).allowed, false);
    assert.equal(await usedOf(server, "user=u1", "small"), 11);
  });

  it("count a record once under its key, however often the service goes away", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const call = { tool: "search", session: "s1", user: "u1" };
    for (const key of ["before", "meanwhile"]) {
      const keyed = { ...call, idempotencyKey: key };
      if (key === "before") await instance.limiter.record(keyed);
      await cut(instance);
      await instance.limiter.record(keyed);
      await heal(instances);
      await instance.limiter.record(keyed);
    }
    assert.equal(await usedOf(server, "user=u1", "small"), 2);
  });

  it("admit nothing when they were started without it, and say why", async () => {
    const limiter = createRemoteLimiter({
      url: "http://127.0.0.1:9",
      failover: localFailover({ policy: POLICY, instances: 1 }),
    });
    const decision = await limiter.consume({ tool: "search", session: "s1" });
    assert.equal(decision.allowed, false);
    assert.equal(decision.degraded?.reason, "unavailable");
    await limiter.close();
  });

  it("reject operations that only the service can do", async () => {
    const { instances } = await clients(1);
    const [instance] = instances as [Instance];
    await cut(instance);
    const { limiter } = instance;
    const isAway = (error: unknown) => StoreError.isInstance(error) && error.code === "unavailable";
    await assert.rejects(limiter.usage({ session: "s1" }), isAway);
    await assert.rejects(limiter.reset({ limit: "per-session", session: "s1" }), isAway);
    assert.equal((await limiter.peek({ tool: "search", session: "s1" })).allowed, true);
    await assert.rejects(limiter.consume({ tool: "search" }), MisuseError);
    await heal(instances);
  });

  it("know what the service said of a limit when its policy has other quotas, too", async () => {
    const policy: PolicyInput = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 5 }] };
    const { instances } = await clients(1, { policy });
    const [instance] = instances as [Instance];
    const call = { tool: "search", session: "s1" };
    for (let i = 0; i < 3; i++) await instance.limiter.consume(call);
    await cut(instance);
    const admitted = [];
    for (let i = 0; i < 4; i++) admitted.push((await instance.limiter.consume(call)).allowed);
    assert.deepEqual(admitted, [true, true, false, false]);
    await heal(instances);
  });

  it("know more use than a smaller quota says, when a call with that was denied", async () => {
    const limit = {
      name: "per-session",
      per: ["session"],
      quota: 6,
      overrides: [{ when: { tool: ["dear"] }, quota: 3 }],
    };
    const policy: PolicyInput = { version: 1, limits: [limit] };
    const { instances } = await clients(1, { policy }, DEADLINE_MS, policy);
    const [instance] = instances as [Instance];
    const { limiter } = instance;
    for (let i = 0; i < 4; i++) await limiter.consume({ tool: "search", session: "s1" });
    assert.equal((await limiter.consume({ tool: "dear", session: "s1" })).allowed, false);
    await cut(instance);
    const admitted = [];
    for (let i = 0; i < 3; i++) admitted.push((await limiter.consume({ tool: "search", session: "s1" })).allowed);
    assert.deepEqual(admitted, [true, true, false]);
    await heal(instances);
  });

  it("know what they have booked themselves where the service's quota does not say it", async () => {
    const withQuota = (quota: number): PolicyInput => {
      return { version: 1, limits: [{ name: "per-session", per: ["session"], quota }] };
    };
    const { server, instances } = await clients(1, { policy: withQuota(4) }, DEADLINE_MS, withQuota(4));
    server.service.reload(withQuota(0));
    const [instance] = instances as [Instance];
    const call = { tool: "search", session: "s1" };
    const admitted = [];
    await instance.limiter.record(call);
    for (let outage = 0; outage < 3; outage++) {
      await cut(instance);
      for (let i = 0; i < 2; i++) admitted.push((await instance.limiter.consume(call)).allowed);
      await heal(instances);
    }
    assert.deepEqual(admitted, [true, true, true, false, false, false]);
  });

  it("report once that the service has another policy", async () => {
    const policy: PolicyInput = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 5 }] };
    const { instances } = await clients(1, { policy });
    const [{ limiter, events }] = instances as [Instance];
    for (let i = 0; i < 3; i++) await limiter.consume({ tool: "search", session: "s1" });
    assert.deepEqual(
      events.map(({ type }) => type),
      ["policy.differs"],
    );
    limiter.reload(POLICY);
    await limiter.consume({ tool: "search", session: "s1" });
    assert.deepEqual(events.slice(1), [
      {
        type: "policy.reloaded",
        version: definePolicy(POLICY).version,
        restarted: [],
        added: ["small", "tokens", "at-once", "failing", "per-tool"],
        removed: [],
        reason: null,
        actor: null,
      },
    ]);
  });

  it("apply a reloaded policy at the next call, and count what they have admitted", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const { limiter } = instance;
    const call = { tool: "search", session: "s1", user: "u1" };
    const admitted = async (times: number, more: object = {}) => {
      const decisions = await Promise.all(Array.from({ length: times }, () => limiter.consume({ ...call, ...more })));
      return decisions.filter(({ allowed }) => allowed).length;
    };
    const reload = (small: object) => {
      const limits = POLICY.limits.map((limit) => (limit.name === "small" ? { ...limit, ...small } : limit));
      limiter.reload({ ...POLICY, limits } as PolicyInput);
    };
    assert.equal(await admitted(2), 2);
    await cut(instance);
    assert.equal(await admitted(3), 3);
    reload({ quota: 0 });
    assert.equal(await admitted(20), 0);
    reload({ onStoreError: "deny" });
    assert.equal(await admitted(20), 0);
    reload({ quota: 5 });
    assert.equal(await admitted(20), 0);
    reload({ quota: 6, overrides: [{ when: { agent: "pro" }, quota: 9 }] });
    assert.equal(await admitted(20), 1);
    assert.equal(await admitted(20, { agent: "pro" }), 3);
    assert.equal(await admitted(20), 0);
    reload({});
    assert.equal(await admitted(20), 1);
    await heal(instances);
    assert.equal(await usedOf(server, "user=u1", "small"), 10);
  });

  it("apply their own resets, grants and revokes", async () => {
    const { instances } = await clients(1);
    const [instance] = instances as [Instance];
    const { limiter } = instance;
    const bucket = { limit: "small", user: "u1" };
    const call = { tool: "search", session: "s1", user: "u1" };
    const admitted = async (times: number) => {
      const decisions = await Promise.all(Array.from({ length: times }, () => limiter.consume(call)));
      return decisions.filter(({ allowed }) => allowed).length;
    };
    assert.equal(await admitted(10), 10);
    await limiter.reset(bucket);
    assert.equal(await admitted(4), 4);
    await limiter.grant(bucket, { id: "g1", units: 7, durationMs: 3_600_000 });
    await cut(instance);
    assert.equal(await admitted(30), 13);
    await heal([instance]);
    await limiter.grant(bucket, { id: "g2", units: 5, durationMs: 3_600_000 });
    await limiter.revoke(bucket, "g2");
    await cut(instance);
    assert.equal(await admitted(30), 0);
    await heal([instance]);
    await limiter.reset(bucket);
    await cut(instance);
    assert.equal(await admitted(30), 10);
  });

  it("report how many bookings are lost on close", async () => {
    const { instances } = await clients(1);
    const [instance] = instances as [Instance];
    await cut(instance);
    await instance.limiter.close({ withinMs: 0 });
    assert.deepEqual(instance.events.at(-1), { type: "failover.lost", bookings: 1 });
  });

  it("report bookings of calls that are decided while the client is closed", async () => {
    const { instances } = await clients(1);
    const [instance] = instances as [Instance];
    const { limiter, proxy, events } = instance;
    proxy.refuse();
    const call = { tool: "search", session: "s1" };
    const asked = [limiter.consume(call), limiter.reserve(call)];
    await limiter.close({ withinMs: 0 });
    assert.deepEqual(events.at(-1), { type: "failover.lost", bookings: 2 });
    assert.ok((await Promise.all(asked)).every(({ allowed, degraded }) => allowed && degraded !== null));
  });

  it("report the end of a hold that is settled while the client is closed", async () => {
    const { instances } = await clients(1);
    const [instance] = instances as [Instance];
    await cut(instance);
    const held = await instance.limiter.reserve({ tool: "search", session: "s1" });
    assert.ok(held.allowed);
    const settled = held.hold.settle();
    await instance.limiter.close({ withinMs: 0 });
    assert.deepEqual(instance.events.at(-1), { type: "failover.lost", bookings: 3 });
    await settled;
  });

  it("send missed bookings on close, when the service returns in time", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    await cut(instance);
    const before = await usedOf(server, "session=warm-up", "per-session");
    const closing = instance.limiter.close();
    await heal(instances);
    await closing;
    assert.deepEqual(
      instance.events.map(({ type }) => type),
      ["store.unreachable", "store.recovered"],
    );
    assert.equal(await usedOf(server, "session=warm-up", "per-session"), before + 1);
  });
});

describe("holds while the service is unreachable", () => {
  const call = { tool: "model", session: "s1", user: "u1", cost: { tokens: 100 } };
  const used = async (server: Served) =>
    Promise.all(["small", "tokens"].map((limit) => usedOf(server, "user=u1", limit)));

  it("are settled with the service when they are settled after its return", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    await cut(instance);
    const held = await instance.limiter.reserve(call);
    assert.ok(held.allowed && held.degraded !== null);
    await heal(instances);
    assert.deepEqual(await used(server), [1, 100]);
    assert.equal(await held.hold.extend({ leaseMs: 60_000 }), true);
    const { usages } = await held.hold.settle({ tokens: 40 });
    assert.equal(usages.find(({ limit }) => limit === "tokens")?.used, 40);
    assert.deepEqual(await used(server), [1, 40]);
  });

  it("are settled locally and later remotely when they end in an outage", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const before = await instance.limiter.reserve(call);
    assert.ok(before.allowed);
    await cut(instance);
    const during = await instance.limiter.reserve(call);
    const freed = await instance.limiter.reserve(call);
    assert.ok(during.allowed && freed.allowed);
    await before.hold.settle({ tokens: 10 });
    await during.hold.settle({ tokens: 20 });
    await freed.hold.release();
    await heal(instances);
    assert.deepEqual(await used(server), [2, 30]);
  });

  it("are the service's own when they end by the ids that they had at first", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    await cut(instance);
    const [one, other] = [await instance.limiter.reserve(call), await instance.limiter.reserve(call)];
    assert.ok(one.allowed && other.allowed);
    const ids = [one.hold.id, other.hold.id] as const;
    await instance.limiter.getHold(ids[0], call).settle({ tokens: 20 });
    await heal(instances);
    assert.deepEqual(await used(server), [2, 120]);
    assert.notEqual(other.hold.id, ids[1]);
    await instance.limiter.getHold(ids[1], call).settle({ tokens: 30 });
    assert.deepEqual(await used(server), [2, 50]);
    await instance.limiter.getHold(ids[1], call).settle({ tokens: 30 });
    assert.deepEqual(await used(server), [2, 50]);
    const strange = { ...call, session: "s2" };
    await assert.rejects(instance.limiter.getHold(ids[1], strange).release(), { code: "unknown-hold" });
  });

  it("are booked when the service would not hold them, and were released for nothing", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    await instance.limiter.consume(call);
    await cut(instance);
    const [settled, later, freed] = await Promise.all([1, 2, 3].map(() => instance.limiter.reserve(call)));
    assert.ok(settled?.allowed && later?.allowed && freed?.allowed);
    await settled.hold.settle({ tokens: 20 });
    await server.post("/v1/record", { call: { ...call, cost: { tokens: 900 } } });
    await heal(instances);
    await later.hold.settle();
    await freed.hold.release();
    assert.deepEqual(await used(server), [1 + 1 + 1 + 1, 100 + 900 + 20 + 100]);
  });

  it("are counted while they live, also when the service would not hold them and they never end", async (test) => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    await instance.limiter.consume(call);
    await cut(instance);
    const job = { ...call, tool: "job" };
    const reserved = await instance.limiter.reserve({ ...job, idempotencyKey: "k1" });
    const running = Promise.withResolvers<void>();
    test.after(() => running.resolve());
    const ran = instance.limiter.run(job, () => running.promise);
    await server.post("/v1/record", { call: { ...call, cost: { calls: 9, tokens: 900 } } });
    await heal(instances);
    assert.deepEqual(await used(server), [1 + 9 + 2, 100 + 900 + 2 * 100]);
    assert.equal(await usedOf(server, "user=u1", "at-once"), 2);
    const again = await instance.limiter.reserve({ ...job, idempotencyKey: "k1" });
    assert.ok(reserved.allowed && again.allowed && again.replayed);
    assert.equal(again.hold.id, reserved.hold.id);
    await instance.limiter.close();
    running.resolve();
    assert.equal((await ran).allowed, true);
    assert.deepEqual(await used(server), [12, 1_200], "the service still has what a client has not ended");
  });

  it("that the service refuses are reported, and book what they used at their end", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    await instance.limiter.consume(call);
    await cut(instance);
    const held = await instance.limiter.reserve(call);
    assert.ok(held.allowed);
    // A bucket has at most so many holds.
    const items = Array.from({ length: 1_000 }, () => ({
      op: "reserve",
      call: { ...call, cost: { tokens: 0 } },
      force: true,
    }));
    assert.equal((await server.post("/v1/batch", { items })).status, 200);
    await heal(instances);
    const back = instance.events.at(-1);
    assert.ok(back?.type === "store.recovered");
    assert.deepEqual([back.booked, back.dropped], [1, 1]);
    assert.deepEqual(await used(server), [1 + 1_000, 100]);
    const { status } = await held.hold.settle({ tokens: 7 });
    assert.equal(status, "unknown-hold");
    assert.deepEqual(await used(server), [1 + 1_000 + 1, 107]);
  });

  it("of run are booked when the service would not hold them, also where the call holds nothing", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const plain = { tool: "search", session: "s1", user: "u9" };
    await instance.limiter.consume(plain);
    await cut(instance);
    const ran = await instance.limiter.run(plain, () => "value");
    assert.ok(ran.allowed && ran.degraded !== null);
    // Others use up the limit meanwhile.
    for (let i = 0; i < 9; i++) await server.post("/v1/record", { call: plain });
    const later = instance.limiter.run(plain, async ({ addUsage }) => {
      await heal(instances);
      addUsage({ tokens: 5 });
    });
    assert.equal((await later).allowed, true);
    assert.equal(await usedOf(server, "user=u9", "small"), 1 + 9 + 2);
    assert.equal(await usedOf(server, "user=u9", "tokens"), 5);
  });

  it("of a call with a slot are booked when the service would not hold them, however they end", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const job = { tool: "job", session: "s1", user: "u8" };
    const plain = { ...job, tool: "search" };
    await instance.limiter.consume(plain);
    await cut(instance);
    // It ends before the service is back, and the next ones after that.
    await instance.limiter.run({ ...job, cost: { tokens: 7 } }, ({ addUsage }) => addUsage({ tokens: 20 }));
    for (let i = 0; i < 9; i++) await server.post("/v1/record", { call: plain });
    const held = await instance.limiter.reserve({ ...job, cost: { tokens: 300 } });
    assert.ok(held.allowed);
    const later = instance.limiter.run(job, async ({ addUsage }) => {
      await heal(instances);
      addUsage({ tokens: 1 });
    });
    assert.equal((await later).allowed, true);
    await held.hold.settle();
    assert.equal(await usedOf(server, "user=u8", "small"), 1 + 9 + 3);
    assert.equal(await usedOf(server, "user=u8", "tokens"), 20 + 300 + 1);
    assert.deepEqual(
      instance.events.filter(({ type }) => type.startsWith("hold.")),
      [],
    );
  });

  it("are freed when the service made them and the client denied the call", async () => {
    // A share of one among so many is nothing.
    const { server, instances } = await clients(1, { instances: 10_000 }, SHORT_DEADLINE_MS);
    const [instance] = instances as [Instance];
    instance.proxy.blackHole("replies");
    const held = await instance.limiter.reserve(call);
    assert.equal(held.allowed, false);
    await until(20_000, () => instance.events.length > 0);
    assert.deepEqual(await used(server), [1, 100]);
    await heal(instances);
    assert.deepEqual(await used(server), [0, 0]);
  });

  it("of run are held, extended, settled and reported", async () => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const { limiter } = instance;
    await limiter.consume({ tool: "flaky", session: "s1" });
    await cut(instance);
    const job = { ...call, tool: "job" };
    const ran = await limiter.run(job, async ({ addUsage }) => {
      addUsage({ tokens: 7 });
      await heal(instances);
      // The call was booked with the rest; its place is taken there, too.
      assert.deepEqual(await used(server), [1, 100]);
      assert.equal(await usedOf(server, "user=u1", "at-once"), 1);
      return "value";
    });
    assert.ok(ran.allowed && ran.value === "value");
    assert.deepEqual(await used(server), [1, 7]);
    assert.equal(await usedOf(server, "user=u1", "at-once"), 0);
    await cut(instance);
    const broken = () => limiter.run({ tool: "flaky", session: "s1" }, () => Promise.reject(new Error("broken")));
    await assert.rejects(broken, /broken/);
    await assert.rejects(broken, /broken/);
    assert.equal((await limiter.run({ tool: "flaky", session: "s1" }, () => 1)).allowed, false);
    await heal(instances);
    assert.equal((await limiter.peek({ tool: "flaky", session: "s1" })).allowed, false);
  });

  it("of a failed run cost what each limit says, for any order of begin, end and outage", async (test) => {
    const { server, instances } = await clients(1);
    const [instance] = instances as [Instance];
    const begin = () => {
      const { promise, reject } = Promise.withResolvers<never>();
      const begun = Promise.withResolvers<void>();
      // A test that fails must leave no call running.
      test.after(() => reject(new RangeError("broken")));
      const ran = instance.limiter.run({ ...call, tool: "breaks" }, () => {
        begun.resolve();
        return promise;
      });
      const fail = async () => {
        reject(new RangeError("broken"));
        await assert.rejects(ran, RangeError);
      };
      return { begun: begun.promise, fail };
    };
    const before = begin();
    await before.begun;
    await cut(instance);
    const [during, after] = [begin(), begin()];
    await Promise.all([during.begun, after.begun]);
    await before.fail();
    await during.fail();
    await heal(instances);
    assert.deepEqual(await used(server), [3, 100]);
    await after.fail();
    assert.deepEqual(await used(server), [3, 0]);
    await cut(instance);
    const late = begin();
    await late.begun;
    await server.post("/v1/record", { call: { ...call, cost: { tokens: 1_000 } } });
    await heal(instances);
    await late.fail();
    assert.deepEqual(await used(server), [5, 1_000], "the service denied it: it was admitted, and has failed");
  });
});
