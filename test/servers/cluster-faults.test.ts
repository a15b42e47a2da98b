// A cluster and a Sentinel trio under load whose master is killed, and a slot that moves: calls work again, and no more
// is admitted than the quota and what the dead master had acknowledged and its replica had not yet heard of.

import assert from "node:assert/strict";
import { after, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { createCluster } from "redis";
import { createLimiter, type Limiter, type PolicyInput } from "tollgate";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { keyOnCluster, moveSlot, startCluster, startSentinels } from "../redis-cluster.ts";
import { wideRunOnly } from "../length.ts";
import { ownServers, type RedisServer } from "../servers.ts";
import { type HalfWay, killAhead, killHalfWay as killUnderLoad, replicaOf, words } from "./kill-half-way.ts";
import { startLoad, until } from "./load.ts";

const CALLERS = 16;
const QUOTA = 60_000;
const BEFORE_KILL = 4_000;

const cluster = await startCluster("--cluster-node-timeout", "2500");
const io = new Cluster([...cluster.addresses], { redisOptions: { autoResendUnfulfilledCommands: false } });
io.on("error", () => {});
const rootNodes = cluster.addresses.map(({ host, port }) => ({ url: `redis://${host}:${port}` }));
const node = await createCluster({ rootNodes })
  .on("error", () => {})
  .connect();
const trio = await startSentinels();
const watched = new Redis({
  sentinels: [...trio.sentinels],
  name: trio.name,
  autoResendUnfulfilledCommands: false,
  sentinelRetryStrategy: () => 50,
  retryStrategy: () => 50,
});
watched.on("error", () => {});
const opened: Limiter[] = [];
after(async () => {
  // A store that has made a client of its own keeps it until then.
  for (const limiter of opened) await limiter.close();
  io.disconnect();
  node.destroy();
  watched.disconnect();
});

/** A session whose shard is a master's, and the key of its bucket there. */
async function sessionOn(server: RedisServer, name: string) {
  for (let i = 0; ; i++) {
    const session = `${name}-${i}`;
    const key = keyOnCluster(`rate:1:{${session}}:session`);
    if ((await cluster.masterOf(key)) === server) return { session, key };
  }
}

const policyOf = (quota: number): PolicyInput => ({
  version: 1,
  limits: [{ name: "session", per: ["session"], quota }],
});
function limiterBy(client: RedisClient, policy: PolicyInput): Limiter {
  const limiter = createLimiter({ policy, store: redisStore(client), failover: false });
  opened.push(limiter);
  return limiter;
}

function killHalfWay(
  context: TestContext,
  limiters: Readonly<Record<string, Limiter>>,
  session: string,
  kill: () => Promise<void>,
  replica: HalfWay["replica"],
) {
  const call = { tool: "search", session };
  const loads = Object.fromEntries(
    Object.entries(limiters).map(([name, limiter]) => [name, startLoad([limiter], CALLERS, () => call)]),
  );
  const used = async () => (await Object.values(limiters)[0]?.usage(call))?.[0]?.used;
  return killUnderLoad(context, { loads, used, quota: QUOTA, beforeKill: BEFORE_KILL, kill, replica });
}

const [first, second, third] = cluster.servers as [RedisServer, RedisServer, RedisServer];

describe("a slot that moves under load", ownServers, () => {
  const clients: Record<string, RedisClient> = { ioredis: io as RedisClient, "node-redis": node };
  const tools = Array.from({ length: 6 }, (_, i) => `tool-${i}`);
  const policies: Record<string, PolicyInput> = {
    "one limit": policyOf(1_000_000_000),
    "several limits": {
      version: 1,
      limits: [
        { name: "session", per: ["session"], quota: 1_000_000_000 },
        { name: "tool", per: ["session", "tool"], quota: 1_000_000_000 },
      ],
    },
  };
  for (const [name, client] of Object.entries(clients)) {
    for (const [which, policy] of Object.entries(policies)) {
      const options = (which === "one limit") === (name === "ioredis") ? {} : wideRunOnly;
      it(`loses no count of ${which}, by ${name}`, options, async (context) => {
        const { session, key } = await sessionOn(second, `moved-${name}-${which.replace(" ", "-")}`);
        const limiter = limiterBy(client, policy);
        let calls = 0;
        const load = startLoad([limiter], CALLERS, () => ({ tool: tools[calls++ % tools.length] ?? "", session }));
        const { seen } = load;
        await until("calls are acknowledged", () => seen.acknowledged > 500);
        const moved = await moveSlot(cluster, cluster.cli("CLUSTER", "KEYSLOT", key), second, third);
        const atEnd = seen.acknowledged;
        await until("calls are acknowledged there", () => seen.acknowledged > atEnd + 500);
        await load.end();
        // What gave up waiting may still be on its way.
        if (seen.failed > 0) await sleep(2_000);
        const usages = await Promise.all(tools.map((tool) => limiter.usage({ tool, session })));
        const used = usages[0]?.[0]?.used ?? 0;
        context.diagnostic(`${moved} keys moved; ${words(seen)}, ${used} booked`);
        assert.deepEqual(seen.others, []);
        assert.equal(await cluster.masterOf(key), third);
        assert.ok(used >= seen.acknowledged, `${seen.acknowledged} were acknowledged, ${used} are left`);
        assert.ok(used <= seen.acknowledged + seen.failed, `${used} are booked, ${words(seen)}`);
        if (which === "one limit") assert.equal(used, seen.acknowledged);
        else
          assert.equal(
            usages.reduce((sum, [, tool]) => sum + (tool?.used ?? 0), 0),
            used,
          );
      });
    }
  }
});

describe("a master of a cluster that is killed under load", ownServers, () => {
  const limiters = {
    ioredis: limiterBy(io as RedisClient, policyOf(QUOTA)),
    "node-redis": limiterBy(node, policyOf(QUOTA)),
  };

  it("is followed by its replica", async (context) => {
    const { session, key } = await sessionOn(second, "killed");
    const replica = replicaOf(second, cluster);
    await killHalfWay(context, limiters, session, () => second.kill(), { server: replica, key });
  });

  it("is followed by a replica that was behind, and only lost units are admitted again", async (context) => {
    const { session, key } = await sessionOn(third, "behind");
    const replica = replicaOf(third, cluster);
    const kill = () => killAhead(third, replica);
    const { lost, admitted } = await killHalfWay(context, limiters, session, kill, { server: replica, key });
    assert.ok(lost > 0 && admitted > QUOTA, "writes were lost, and the bound is near");
  });

  it("leaves the others' slots as they were", async () => {
    const { session } = await sessionOn(first, "other");
    for (const limiter of Object.values(limiters))
      assert.equal((await limiter.consume({ tool: "search", session })).allowed, true);
  });
});

describe("a master that Sentinel watches and that is killed under load", ownServers, () => {
  it("is followed by its replica", async (context) => {
    const limiters = { ioredis: limiterBy(watched, policyOf(QUOTA)) };
    await killHalfWay(context, limiters, "watched", () => trio.master.kill(), {
      server: trio.replica,
      key: "rate:1:{watched}:session",
    });
  });
});
