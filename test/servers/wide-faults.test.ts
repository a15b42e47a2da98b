// A master of a cluster that is killed under calls over three slots, some of which are denied in another one: no more is
// admitted than the quota and what was lost with the master, and with failover what was admitted by shares. TOLLGATE_KILLS says how often.

import assert from "node:assert/strict";
import { after, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "ioredis";
import { createLimiter, type Limiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { keyOnCluster, startCluster } from "../redis-cluster.ts";
import { ownServers, type RedisServer } from "../servers.ts";
import { connectToCluster } from "../cluster-clients.ts";
import { killAhead, killHalfWay, killWithShares, replicaOf } from "./kill-half-way.ts";
import { startLoad, until } from "./load.ts";

const KILLS = Number(process.env.TOLLGATE_KILLS ?? 2);
const KILLS_WITH_FAILOVER = Number(process.env.TOLLGATE_KILLS ?? 1);
const CALLERS = 16;
/** A run of many kills has more calls between them. */
const QUOTA = process.env.TOLLGATE_KILLS === undefined ? 4_000 : 12_000;
const BEFORE_KILL = QUOTA / 6;

const cluster = await startCluster("--cluster-node-timeout", "2500");
const io = new Cluster([...cluster.addresses], {
  retryDelayOnFailover: 0,
  redisOptions: { autoResendUnfulfilledCommands: false },
});
io.on("error", () => {});
after(() => io.disconnect());

const { client: node, close: closeNode } = await connectToCluster("node-redis", cluster);
after(closeNode);

/** With failover there are two instances, whose callers pause: shares are decided at once. */
const SHARED = { quota: QUOTA, beforeKill: QUOTA / 8, callers: 8, pauseMs: 10 };

const policyOf = (quota: number): PolicyInput => ({
  version: 1,
  limits: [
    { name: "user", per: ["user"], quota },
    { name: "session", per: ["session"], quota: 1_000_000_000 },
    { name: "few", per: ["session"], quota: 10, when: { tool: ["few"] } },
    { name: "tool", per: ["tool"], quota: 1_000_000_000 },
  ],
});

/** A name whose shard is on a server. */
async function nameOn(server: RedisServer, tagOf: (name: string) => string, prefix: string): Promise<string> {
  for (let i = 0; ; i++)
    if ((await cluster.masterOf(keyOnCluster(`{${tagOf(`${prefix}${i}`)}}`))) === server) return `${prefix}${i}`;
}

async function mastersNow(): Promise<RedisServer[]> {
  return cluster.servers.filter((server) => /role:master/.test(server.cli("INFO", "replication")));
}

/** All servers run, and each replica has what its master has. */
async function whole(): Promise<void> {
  await until("all replicas follow", () => {
    const replication = cluster.servers.map((server) => server.cli("INFO", "replication"));
    return (
      replication.filter((each) => /role:master/.test(each) && /state=online/.test(each)).length === 3 &&
      replication.filter((each) => /master_link_status:up/.test(each)).length === 3 &&
      cluster.servers.every((server) => /cluster_state:ok/.test(server.cli("CLUSTER", "INFO")))
    );
  });
}

/** What a run kills, and the calls whose user's bucket is there. */
async function sceneOf(run: number, isBehind: boolean) {
  await whole();
  const masters = await mastersNow();
  const [killed, other] = [masters[run % 3], masters[(run + 1) % 3]] as [RedisServer, RedisServer];
  const user = await nameOn(killed, (name) => `user=${name}`, `u${run}-`);
  const session = await nameOn(other, (name) => name, `s${run}-`);
  const replica = replicaOf(killed, cluster);
  const call = { tool: "search", session, user };
  return {
    call,
    killed,
    kill: () => (isBehind ? killAhead(killed, replica) : killed.kill()),
    replica: { server: replica, key: keyOnCluster(`rate:1:{user=${user}}:user`) },
  };
}

async function killOnce(context: TestContext, limiter: Limiter, run: number, isBehind: boolean) {
  const { call, killed, kill, replica } = await sceneOf(run, isBehind);
  const loads = {
    search: startLoad([limiter], CALLERS, () => call),
    // Nearly all of these are denied in their session's slot, and give back what they took from the user.
    few: startLoad([limiter], CALLERS / 2, () => ({ ...call, tool: "few" })),
  };
  const result = await killHalfWay(context, {
    loads,
    async used() {
      // What gives units back is sent within the deadline of a call.
      await sleep(1_200);
      return (await limiter.usage(call))[0]?.used;
    },
    quota: QUOTA,
    beforeKill: BEFORE_KILL,
    kill,
    replica,
  });
  assert.ok(loads.few.seen.denied > 100);
  await killed.restart();
  return result;
}

async function killOnceWithFailover(context: TestContext, run: number, isBehind: boolean) {
  const { quota, beforeKill, callers, pauseMs } = SHARED;
  const { call, killed, kill, replica } = await sceneOf(run, isBehind);
  let outages = 0;
  const onEvent = ({ type }: LimiterEvent) => {
    if (type === "store.unreachable") outages++;
  };
  const limiters = [io as RedisClient, node].map((client) =>
    createLimiter({ policy: policyOf(quota), store: redisStore(client), failover: { instances: 2 }, onEvent }),
  );
  const loads = {
    search: startLoad(limiters, callers, () => call, pauseMs),
    few: startLoad(limiters, callers / 2, () => ({ ...call, tool: "few" }), pauseMs),
  };
  const used = async () => {
    await sleep(1_200);
    return (await limiters[0]?.usage(call))?.[0]?.used;
  };
  // What was in flight when an instance lost the store may be booked again by it, or stay charged where another shard denied it.
  const mayCountMore = () => Math.max(outages, limiters.length) * (callers + callers / 2);
  const result = await killWithShares(context, { loads, used, quota, beforeKill, kill, replica }, mayCountMore);
  for (const limiter of limiters) await limiter.close();
  await killed.restart();
  return result;
}

describe("a master that is killed under calls over three slots", ownServers, () => {
  for (let run = 0; run < KILLS; run++) {
    const isBehind = run % 2 === 1;
    it(`loses only what its replica had not heard of${isBehind ? ", also where that was behind" : ""} (${run + 1})`, async (context) => {
      const limiter = createLimiter({ policy: policyOf(QUOTA), store: redisStore(io as RedisClient), failover: false });
      await killOnce(context, limiter, run, isBehind);
      await limiter.close();
    });
  }
});

describe("a master that is killed under calls over three slots, with failover", ownServers, () => {
  for (let run = 0; run < KILLS_WITH_FAILOVER; run++) {
    const isBehind = run % 2 === 0;
    it(`loses nothing that instances have seen${isBehind ? ", also where its replica was behind" : ""} (${run + 1})`, async (context) => {
      const { lost } = await killOnceWithFailover(context, KILLS + run, isBehind);
      if (isBehind) assert.ok(lost > 0, "writes were lost with the master");
    });
  }
});
