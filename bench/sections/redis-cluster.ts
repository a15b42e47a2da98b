// A Redis Cluster: three limits in one slot, and in three slots of three servers, beside the same limits on one server.

import { Cluster, Redis } from "ioredis";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { type Call, type Limit, roomy } from "../calls.ts";
import { number } from "../harness.ts";
import { type Contender, race } from "../race.ts";
import { clusterOf, type Masters } from "../redis-cluster.ts";
import { atLeast, type Section, speedNamed, speedTables } from "../section.ts";
import { type RedisServer, startRedis } from "../servers.ts";
import { tollgate } from "../tollgate.ts";

const IN_FLIGHT = 64;
const CALLS = 60_000;
const ROUNDS = 5;
const MASTERS = 3;

const ONE_SERVER = "Tollgate, one server";
const ONE_SLOT = "Tollgate, cluster, one slot";
const THREE_SLOTS = "Tollgate, cluster, three slots";

/** A script call with 43 arguments and 160 numbers in its answer, without Tollgate: 72 µs of the processor by Redis, 79 by Cluster. */
const ONE_SLOT_REASON = `The client is the bound. Without Tollgate, a command costs the cluster client of ioredis 7 µs of the processor more than that
of one server, which is 0.5 of the 9 µs of a call; finding the shard of a call takes 0.5 more.`;

const limitOf = (...per: Limit["per"]): Limit => ({
  name: per.join("-"),
  per,
  quota: 1,
  key: (call) => per.map((dimension) => call[dimension]).join(),
});
const TOGETHER = roomy([limitOf("session"), limitOf("session", "user"), limitOf("session", "tool")]);
const APART = roomy([limitOf("session"), limitOf("user"), limitOf("tool")]);

export const section: Section = {
  title: "Redis Cluster",
  needs: ["redis"],
  meaning: `Three limits, ${IN_FLIGHT} calls in flight of one session, user and tool, by ioredis, with failover. On the cluster all limits
are in one shard of 64, or each is in a shard of another server: then each call is charged in three servers at once. All servers and the
client share the cores of this machine. No call is denied. A call in three shards is bound by the client's thread: it sends three
batches, reads three answers, and makes one decision of them.`,

  async measure(isShort) {
    const group = "three limits";
    await using server = await startRedis();
    await using masters = await clusterOf(MASTERS);
    const call = await callOnAll(masters);
    const calls = Array.from({ length: isShort ? CALLS / 50 : CALLS }, () => call);
    const contender = (name: string, limits: readonly Limit[], open: () => Promise<OpenClient>): Contender => ({
      group,
      name,
      limits,
      rule: "all or none",
      inFlight: IN_FLIGHT,
      async open() {
        const { client, close } = await open();
        const opened = tollgate(limits, redisStore(client));
        const end = async () => {
          await opened.close();
          close();
        };
        return { ...opened, close: end };
      },
    });
    const contenders = [
      contender(ONE_SERVER, TOGETHER, () => onServer(server)),
      contender(ONE_SLOT, TOGETHER, () => onCluster(masters)),
      contender(THREE_SLOTS, APART, () => onCluster(masters)),
    ];
    const speeds = await race(contenders, calls, isShort ? 1 : ROUNDS);
    const [slot, three] = [ONE_SLOT, THREE_SLOTS].map((name) => speedNamed(speeds, group, name));
    return {
      work: `${number(calls.length)} calls, ${IN_FLIGHT} in flight, ${MASTERS} masters without replicas`,
      goals: [
        atLeast("one slot of a cluster: speed to one server", 0.9, slot?.ratio ?? Number.NaN, ONE_SLOT_REASON),
        atLeast(
          "three slots: speed to one slot of the cluster",
          0.3,
          (three?.ratio ?? Number.NaN) / (slot?.ratio ?? 1),
        ),
      ],
      tables: speedTables(speeds, ONE_SERVER),
    };
  },
};

interface OpenClient {
  readonly client: RedisClient;
  readonly close: () => void;
}

async function onServer({ port, control }: RedisServer): Promise<OpenClient> {
  await control.flushall("SYNC");
  const client = new Redis(port, { lazyConnect: true });
  await client.connect();
  return { client, close: () => client.disconnect() };
}

async function onCluster({ servers }: Masters): Promise<OpenClient> {
  for (const { control } of servers) await control.flushall("SYNC");
  const nodes = servers.map(({ port }) => ({ host: "127.0.0.1", port }));
  const client = new Cluster(nodes, { lazyConnect: true, retryDelayOnFailover: 0 });
  await client.connect();
  return { client: client as RedisClient, close: () => client.disconnect() };
}

/** A call whose session, user and tool are on three servers. */
async function callOnAll({ nameOn }: Masters): Promise<Call> {
  return {
    session: await nameOn(0, (i) => `session-${i}`),
    user: (await nameOn(1, (i) => `user=user-${i}`)).replace("user=", ""),
    tool: (await nameOn(2, (i) => `tool=tool-${i}`)).replace("tool=", ""),
  };
}
