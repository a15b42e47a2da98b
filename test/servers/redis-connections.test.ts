// Connections that die without a word, and servers that become replicas while their connections stay: the store counts again
// within seconds, with each client in its default settings, and the user's client is left as it is.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GlideClient, GlideClusterClient } from "@valkey/valkey-glide";
import { Cluster, Redis } from "ioredis";
import { Redis as IoValkey, Cluster as ValkeyCluster } from "iovalkey";
import { createClient, createCluster, createSentinel } from "redis";
import { createLimiter, type Limiter } from "tollgate";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { start, until } from "../e2e/tollgate.ts";
import { keyOnCluster, startCluster, startSentinels } from "../redis-cluster.ts";
import { ownServers, type RedisServer, startRedis } from "../servers.ts";
import { SilentProxy } from "../silent-proxy.ts";
import { temporaryFolder } from "../temporary.ts";

const POLICY = { version: 1, limits: [{ name: "session", per: ["session"], quota: 1_000_000 }] } as const;
const RECOVERS_WITHIN_MS = 10_000;

interface Connected {
  readonly client: RedisClient;
  /** A command of the user's own. */
  ask(...command: string[]): Promise<unknown>;
  close(): unknown;
}

function ofIoRedis(client: Redis | IoValkey): Connected {
  client.on("error", () => {});
  const ask = (name: string, ...args: string[]) => client.call(name, ...args);
  return { client: client as RedisClient, ask, close: () => client.disconnect() };
}

async function ofNodeRedis(port: number, socket: object = {}): Promise<Connected> {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, socket });
  await client.on("error", () => {}).connect();
  const close = () => client.isOpen && client.destroy();
  return { client, ask: (...command) => client.sendCommand(command), close };
}

/** In their default settings, and in some that were known to keep a client away for good. */
const clients: Readonly<Record<string, (port: number) => Promise<Connected> | Connected>> = {
  ioredis: (port) => ofIoRedis(new Redis(port)),
  iovalkey: (port) => ofIoRedis(new IoValkey(port)),
  "node-redis": (port) => ofNodeRedis(port),
  "node-redis with a socket timeout": (port) => ofNodeRedis(port, { socketTimeout: 1_000 }),
  async "valkey-glide"(port) {
    const client = await GlideClient.createClient({ addresses: [{ host: "127.0.0.1", port }] });
    return { client, ask: (...command) => client.customCommand(command), close: () => client.close() };
  },
};

const ask = (limiter: Limiter, session = "s1") => limiter.consume({ tool: "search", session });

/** Resolves when the store decides, again or for the first time. */
async function recovered(limiter: Limiter, session?: string): Promise<void> {
  const endsAtMs = performance.now() + RECOVERS_WITHIN_MS;
  while (performance.now() < endsAtMs) {
    const decision = await ask(limiter, session).catch(() => null);
    if (decision?.degraded === null) return;
    await sleep(50);
  }
  assert.fail(`The store was not used again within ${RECOVERS_WITHIN_MS} ms.`);
}

/** How many clients a server has, but for the one that asks. */
const connections = (server: RedisServer) => server.cli("CLIENT", "LIST").split("\n").length - 1;

async function eventually(what: string, isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    assert.ok(tries < 200, `Not so within 10 s: ${what}.`);
    await sleep(50);
  }
}

describe("the store", { ...ownServers, concurrency: 8 }, () => {
  for (const [name, connect] of Object.entries(clients)) {
    it(`leaves a silent connection, and closes its own clients on close: ${name}`, async () => {
      const server = await startRedis();
      const proxy = await SilentProxy.start(server.port);
      const { client, close } = await connect(proxy.port);
      const limiter = createLimiter({ policy: POLICY, store: redisStore(client) });
      await recovered(limiter);
      const before = proxy.open;
      proxy.silence();
      assert.notEqual((await ask(limiter)).degraded, null);
      await recovered(limiter);
      assert.ok(proxy.open <= before + 1, `${proxy.open} connections are open`);
      await limiter.close();
      await close();
      // valkey-glide itself keeps a connection that has fallen silent.
      if (name !== "valkey-glide") await eventually("all connections are closed", () => proxy.open === 0);
    });

    it(`keeps retrying while new connections fall silent, too: ${name}`, async () => {
      const server = await startRedis();
      const proxy = await SilentProxy.start(server.port);
      const { client, close } = await connect(proxy.port);
      const limiter = createLimiter({ policy: POLICY, store: redisStore(client) });
      await recovered(limiter);
      proxy.isDeaf = true;
      proxy.silence();
      const deafUntilMs = performance.now() + 3_000;
      while (performance.now() < deafUntilMs) {
        assert.notEqual((await ask(limiter)).degraded, null);
        await sleep(100);
      }
      proxy.isDeaf = false;
      await recovered(limiter);
      await limiter.close();
      await close();
      // valkey-glide itself keeps a connection that has fallen silent.
      if (name !== "valkey-glide") await eventually("all connections are closed", () => proxy.open === 0);
    });

    it(`finds the new primary when the old one becomes a replica and keeps its connections: ${name}`, async () => {
      const old = await startRedis("--repl-diskless-sync-delay", "0");
      const heir = await startRedis("--replicaof", "127.0.0.1", String(old.port));
      const proxy = await SilentProxy.start(old.port);
      const { client, ask: askAsUser, close } = await connect(proxy.port);
      const limiter = createLimiter({ policy: POLICY, store: redisStore(client) });
      await recovered(limiter);
      const countOn = (server: RedisServer) => server.cli("GET", "rate:1:{s1}:session");
      await eventually("the replica has the count", () => countOn(heir) !== "" && countOn(heir) === countOn(old));
      heir.cli("REPLICAOF", "NO", "ONE");
      old.cli("REPLICAOF", "127.0.0.1", String(heir.port));
      proxy.targetPort = heir.port;
      await ask(limiter);
      await recovered(limiter);
      assert.ok(((await limiter.usage({ session: "s1" }))[0]?.used ?? 0) > 1);
      // The user's client reads from the server to which it was connected. One with a socket timeout closes itself when it is idle.
      const isClosed = name === "node-redis with a socket timeout" && !(client as { isOpen?: boolean }).isOpen;
      if (!isClosed) assert.equal(await askAsUser("EXISTS", "rate:1:{s1}:session"), 1);
      await limiter.close();
      await close();
    });
  }
});

describe("a name that moves to another server", ownServers, () => {
  for (const name of ["ioredis", "node-redis"]) {
    it(`is followed when the old server ends its connections, and not before: ${name}`, async () => {
      const [old, other] = [await startRedis(), await startRedis()];
      const proxy = await SilentProxy.start(old.port);
      const { client, close } = (await clients[name]?.(proxy.port)) ?? assert.fail();
      const limiter = createLimiter({ policy: POLICY, store: redisStore(client) });
      await recovered(limiter);
      proxy.targetPort = other.port;
      await ask(limiter);
      assert.equal(other.cli("DBSIZE"), "0");
      old.cli("CLIENT", "KILL", "TYPE", "normal");
      await eventually("the other server counts", () => {
        void ask(limiter).catch(() => {});
        return other.cli("EXISTS", "rate:1:{s1}:session") === "1";
      });
      await recovered(limiter);
      await limiter.close();
      await close();
    });
  }
});

describe("the user's client", { ...ownServers, concurrency: 8 }, () => {
  it("keeps a command that blocks it, while the store continues without it", async () => {
    const server = await startRedis();
    const user = ofIoRedis(new Redis(server.port));
    const limiter = createLimiter({ policy: POLICY, store: redisStore(user.client) });
    await recovered(limiter);
    const popped = user.ask("BLPOP", "list", "0");
    assert.notEqual((await ask(limiter)).degraded, null);
    await recovered(limiter);
    server.cli("RPUSH", "list", "value");
    assert.deepEqual(await popped, ["list", "value"]);
    await limiter.close();
    await eventually("the store's own connection is closed", () => connections(server) === 1 + 1);
    user.close();
  });

  it("is used again when it has reconnected", async () => {
    const server = await startRedis();
    const proxy = await SilentProxy.start(server.port);
    const client = new Redis(proxy.port);
    const user = ofIoRedis(client);
    const limiter = createLimiter({ policy: POLICY, store: redisStore(user.client) });
    await recovered(limiter);
    proxy.silence();
    await recovered(limiter);
    client.disconnect(true);
    await eventually("the store's own connection is closed", () => proxy.open === 1);
    assert.equal((await ask(limiter)).degraded, null);
    await limiter.close();
    user.close();
  });

  for (const [name, connect] of Object.entries(clients)) {
    // They emit nothing when they end: the second one does so by itself when nothing is sent.
    if (name === "valkey-glide" || name === "node-redis with a socket timeout") continue;
    it(`takes the store's connections with it when its user closes ${name}`, async () => {
      const server = await startRedis();
      const proxy = await SilentProxy.start(server.port);
      const { client, close } = await connect(proxy.port);
      const limiter = createLimiter({ policy: POLICY, store: redisStore(client) });
      await recovered(limiter);
      proxy.silence();
      await recovered(limiter);
      await close();
      await eventually("all connections are closed", () => proxy.open === 0);
      assert.notEqual((await ask(limiter)).degraded, null);
      await sleep(2_500);
      assert.equal(proxy.open, 0);
      await limiter.close({ withinMs: 0 });
    });
  }
});

describe("several servers, and serve", { ...ownServers, concurrency: true }, () => {
  describe("a cluster of which one connection falls silent", { concurrency: true }, () => {
    it("serves all slots again through each client", async () => {
      const cluster = await startCluster();
      const proxies = new Map<number, SilentProxy>();
      for (const server of cluster.servers) {
        const proxy = await SilentProxy.start(server.port);
        server.cli("CONFIG", "SET", "cluster-announce-port", String(proxy.port));
        proxies.set(server.port, proxy);
      }
      const ports = [...proxies.values()].map(({ port }) => port);
      await eventually("all servers know the proxies", () =>
        cluster.servers.every((server) => ports.every((port) => server.cli("CLUSTER", "NODES").includes(`:${port}@`))),
      );
      const addresses = ports.map((port) => ({ host: "127.0.0.1", port }));
      const io = new Cluster(addresses).on("error", () => {});
      const valkey = new ValkeyCluster(addresses).on("error", () => {});
      const node = createCluster({ rootNodes: addresses.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` })) });
      await node.on("error", () => {}).connect();
      const glide = await GlideClusterClient.createClient({ addresses });
      const sessions = Array.from({ length: 24 }, (_, i) => `s${i}`);
      const limiters = [io, valkey, node, glide].map((client) =>
        createLimiter({ policy: POLICY, store: redisStore(client as RedisClient) }),
      );
      const degradedOf = async (limiter: Limiter) => {
        const decisions = await Promise.all(sessions.map((session) => ask(limiter, session)));
        return decisions.filter(({ degraded }) => degraded !== null).length;
      };
      for (const limiter of limiters) {
        // On a busy machine its first calls may be late.
        for (const session of sessions) await recovered(limiter, session);
        assert.equal(await degradedOf(limiter), 0);
      }
      // Whichever server has the slot answers what the others send elsewhere.
      const master = cluster.servers.find((server) => !server.cli("GET", keyOnCluster("{s1}")).includes("MOVED"));
      proxies.get(master?.port ?? 0)?.silence();
      for (const limiter of limiters) {
        const degraded = await degradedOf(limiter);
        assert.ok(
          degraded > 0 && degraded < sessions.length,
          `${degraded} of ${sessions.length} are decided by shares`,
        );
      }
      for (const limiter of limiters) {
        for (const session of sessions) await recovered(limiter, session);
        await limiter.close();
      }
      io.disconnect();
      valkey.disconnect();
      node.destroy();
      glide.close();
    });
  });

  describe("a server that Sentinels name, whose connections fall silent", { concurrency: true }, () => {
    it("is used again through each client", async () => {
      const { master, name, sentinels } = await startSentinels();
      const proxy = await SilentProxy.start(master.port);
      const map = { [`127.0.0.1:${master.port}`]: { host: "127.0.0.1", port: proxy.port } };
      const io = new Redis({ sentinels: [...sentinels], name, natMap: map });
      io.on("error", () => {});
      const node = createSentinel({ name, sentinelRootNodes: [...sentinels], nodeAddressMap: map });
      await node.on("error", () => {}).connect();
      for (const client of [io, node]) {
        const limiter = createLimiter({ policy: POLICY, store: redisStore(client as RedisClient) });
        await recovered(limiter);
        proxy.silence();
        assert.notEqual((await ask(limiter)).degraded, null);
        await recovered(limiter);
        await limiter.close();
      }
      io.disconnect();
      await node.destroy();
      await eventually("all connections are closed", () => proxy.open === 0);
    });
  });

  describe("a Sentinel that gives no answers", { concurrency: true }, () => {
    it("does not keep clients and commands from the next one", async (context) => {
      const { master, name, sentinels } = await startSentinels();
      const deaf = await SilentProxy.start(master.port);
      deaf.isDeaf = true;
      const hosts = [{ host: "127.0.0.1", port: deaf.port }, ...sentinels];
      const io = new Redis({ sentinels: hosts, name });
      const limiter = createLimiter({ policy: POLICY, store: redisStore(ofIoRedis(io).client) });
      await recovered(limiter);
      await limiter.close();
      io.disconnect();
      const url = (list: typeof hosts) =>
        `redis+sentinel://${list.map(({ host, port }) => `${host}:${port}`).join(",")}/${name}`;
      const serve = start(["serve", "--port", "0", "--store", url(hosts)], temporaryFolder());
      context.after(() => serve.child.kill("SIGKILL"));
      const doctor = (list: typeof hosts) => {
        const { child, ran } = start(["doctor", "--store", url(list)], temporaryFolder());
        const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
        return ran.finally(() => clearTimeout(timer));
      };
      const [found, alone] = await Promise.all([doctor(hosts), doctor(hosts.slice(0, 1))]);
      assert.match(found.stdout, /Redis \d/);
      assert.deepEqual([alone.status, alone.stdout], [3, ""]);
      await eventually("serve has connected", () => /cmd=evalsha/.test(master.cli("CLIENT", "LIST")));
    });
  });

  describe("tollgate serve", { concurrency: true }, () => {
    /** Starts it on a Redis that is behind a proxy. */
    async function serve(context: TestContext, server: RedisServer) {
      const proxy = await SilentProxy.start(server.port);
      const args = ["serve", "--port", "0", "--store", `redis://127.0.0.1:${proxy.port}`];
      const { child, ran } = start(args, temporaryFolder());
      context.after(() => child.kill("SIGKILL"));
      let output = "";
      child.stdout?.on("data", (text) => {
        output += text;
      });
      const url = await until(() => /listens at (\S+)/.exec(output)?.[1] ?? null);
      const reason = async (): Promise<string | null> => {
        const body = JSON.stringify({ call: { tool: "search", session: "s1", user: "u1" } });
        const response = await fetch(`${url}/v1/consume`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
        });
        return ((await response.json()) as { degraded: { reason: string } | null }).degraded?.reason ?? null;
      };
      const counts = async () => {
        const endsAtMs = performance.now() + RECOVERS_WITHIN_MS;
        while ((await reason()) !== null) {
          assert.ok(performance.now() < endsAtMs, "serve did not use its store again");
          await sleep(50);
        }
      };
      await counts();
      return { proxy, reason, counts, child, ran };
    }

    it("leaves a silent connection, and exits although one is silent", async (context) => {
      const server = await startRedis();
      const { proxy, reason, counts, child, ran } = await serve(context, server);
      proxy.silence();
      assert.notEqual(await reason(), null);
      await counts();
      proxy.silence();
      child.kill("SIGTERM");
      assert.equal((await ran).status, 0);
    });

    it("finds the new primary when the old one becomes a replica and keeps its connections", async (context) => {
      const old = await startRedis("--repl-diskless-sync-delay", "0");
      const heir = await startRedis("--replicaof", "127.0.0.1", String(old.port));
      const { proxy, reason, counts } = await serve(context, old);
      await eventually("the replica is in sync", () => /master_link_status:up/.test(heir.cli("INFO", "replication")));
      heir.cli("REPLICAOF", "NO", "ONE");
      old.cli("REPLICAOF", "127.0.0.1", String(heir.port));
      proxy.targetPort = heir.port;
      await reason();
      await counts();
      // Its own client has connected again: nothing else is needed.
      await eventually("it has one connection", () => proxy.open === 1);
    });
  });
});
